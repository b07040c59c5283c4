"""The HTTP interface, in SDX's shape. What it needs comes with the extra `web`: only who serves imports it."""
