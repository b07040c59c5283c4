"""Examples for each command, as they can be typed; names and ids of a reader's own take the place of these."""

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "init": ("nightkey init", "nightkey --home /srv/nightkey init"),
    "demo": ("nightkey demo", "nightkey demo --stay"),
    "help": ("nightkey help times", "nightkey help item update"),
    "settings list": ("nightkey settings list --changed", "nightkey settings list -o json"),
    "doctor": ("nightkey doctor", "nightkey doctor -o json"),
    "settings check": ("nightkey settings check", "NIGHTKEY_NIGHT_AT='0 3 * * *' nightkey settings check"),
    "item create": (
        "nightkey item create prod-erp-token --owner crm --expires-at 90d --value-file value.txt",
        "nightkey item create 'api-key: erp' --owner crm --expires-at 180d",
    ),
    "item import": (
        "nightkey item import credentials.csv --owner crm --dry-run",
        "nightkey item import .env --owner crm --expires-at 90d",
    ),
    "item export": ("nightkey item export vault", "nightkey item export vault-as-json --format json"),
    "item apply": ("nightkey item apply kept --dry-run", "nightkey item apply kept --yes --skip-missing"),
    "item list": (
        "nightkey item list --expires-before 30d --sort expires",
        "nightkey item list --owner crm --label env=prod -o wide",
    ),
    "item show": ("nightkey item show prod-crm-token", "nightkey item show prod-crm-token -o json"),
    "item check": ("nightkey item check prod-mail-password", "nightkey item check prod-mail-password -o json"),
    "item impact": (
        "nightkey item impact prod-crm-token",
        "nightkey item impact --target mail.example.org:22",
    ),
    "item update": (
        "nightkey item update prod-crm-token --value-file value.txt --expires-at 90d",
        "nightkey item update --where-owner crm --where-mode notify --lead 21d --dry-run",
    ),
    "item delete": (
        "nightkey item delete stage-crm-token",
        "nightkey item delete vlt_01k2x7",
        "nightkey item delete 'stage-*' --owner crm --dry-run",
    ),
    "item rotate": (
        "nightkey item rotate prod-spare-secret",
        "nightkey item rotate prod-spare-secret --compromised --yes",
        "nightkey item rotate 'prod-*' --rotator random --dry-run",
    ),
    "policy list": ("nightkey policy list", "nightkey policy list -o json"),
    "policy show": ("nightkey policy show monthly", "nightkey policy show monthly -o json"),
    "policy explain": ("nightkey policy explain prod-crm-token", "nightkey policy explain monthly"),
    "owner create": (
        "nightkey owner create erp --route-file route.txt --zone Europe/Zurich",
        "nightkey owner create night-shift --quiet 08:00-20:00 --deputy crm",
    ),
    "owner update": (
        "nightkey owner update crm --quiet 22:00-07:00",
        "nightkey owner update crm --deputy operators",
    ),
    "owner route": (
        "nightkey owner route crm --route-file route.txt",
        "nightkey owner route crm --route json://127.0.0.1:8099/notices",
    ),
    "owner show": ("nightkey owner show crm", "nightkey owner show crm -o json"),
    "owner test": ("nightkey owner test crm", "nightkey owner test crm -o json"),
    "owner list": ("nightkey owner list", "nightkey owner list -o csv"),
    "owner rename": ("nightkey owner rename crm customers", "nightkey owner rename ann ann-miller"),
    "owner delete": ("nightkey owner delete nobody", "nightkey owner delete ann --to crm"),
    "owner leave": ("nightkey owner leave ann --to crm --yes", "nightkey owner leave ann --compromised --yes"),
    "workflow apply": (
        "nightkey workflow apply crm-sync.json",
        "nightkey workflow apply crm-sync.json --strict",
    ),
    "workflow lint": ("nightkey workflow lint crm-sync.json", "nightkey workflow lint crm-sync.json -o json"),
    "workflow list": ("nightkey workflow list", "nightkey workflow list -o json"),
    "workflow show": ("nightkey workflow show crm-sync", "nightkey workflow show crm-sync --document"),
    "workflow test": ("nightkey workflow test crm-sync", "nightkey workflow test crm-sync --node send"),
    "workflow run": (
        "nightkey workflow run crm-sync",
        "nightkey workflow run crm-sync --payload payload.json",
    ),
    "workflow pin": (
        "nightkey workflow pin crm-sync prod-crm-token --version 1",
        "nightkey workflow pin crm-sync prod-crm-token --version 1 -o json",
    ),
    "workflow unpin": (
        "nightkey workflow unpin crm-sync prod-crm-token",
        "nightkey workflow unpin crm-sync prod-crm-token -o json",
    ),
    "status": ("nightkey status", "nightkey status -o json"),
    "scan": ("nightkey scan --dry-run", "nightkey scan --dry-run --at 7d"),
    "finding list": ("nightkey finding list", "nightkey finding list --owner crm"),
    "finding ack": (
        "nightkey finding ack fnd_01k2x7 --why 'the service ends in June'",
        "nightkey finding ack fnd_01k2x7 --why 'it is known' -o json",
    ),
    "finding snooze": (
        "nightkey finding snooze fnd_01k2x7 --until 14d --why 'it is replaced in June'",
        "nightkey finding snooze fnd_01k2x7 --until 30d --why 'after the move'",
    ),
    "calendar": ("nightkey calendar --output coming.ics", "nightkey calendar --owner crm"),
    "pickup": ("nightkey pickup - < token.txt", "nightkey pickup - -o json < token.txt"),
    "night": ("nightkey night", "nightkey night --no-wait"),
    "night list": ("nightkey night list", "nightkey night list --limit 7"),
    "night show": ("nightkey night show", "nightkey night show -o json"),
    "rotation list": ("nightkey rotation list", "nightkey rotation list -o wide"),
    "rotation show": ("nightkey rotation show rot_01k2x7", "nightkey rotation show rot_01k2x7 -o json"),
    "rotation approve": (
        "nightkey rotation approve rot_01k2x7",
        "nightkey rotation approve rot_01k2x7 -o json",
    ),
    "rotation cancel": ("nightkey rotation cancel rot_01k2x7", "nightkey rotation cancel rot_01k2x7 -o json"),
    "rotation retry": ("nightkey rotation retry rot_01k2x7", "nightkey rotation retry rot_01k2x7 --another"),
    "rotation rollback": (
        "nightkey rotation rollback rot_01k2x7",
        "nightkey rotation rollback rot_01k2x7 -o json",
    ),
    "rotation accept": ("nightkey rotation accept rot_01k2x7", "nightkey rotation accept rot_01k2x7 -o json"),
    "rotation prove": (
        "nightkey rotation prove rot_01k2x7 --workflow crm-sync",
        "nightkey rotation prove rot_01k2x7 --workflow crm-sync -o json",
    ),
    "rotation extend": (
        "nightkey rotation extend rot_01k2x7 --until 7d",
        "nightkey rotation extend rot_01k2x7 --until 14d -o json",
    ),
    "rotation waive": (
        "nightkey rotation waive rot_01k2x7 --workflow crm-sync --why 'it runs once a year'",
        "nightkey rotation waive rot_01k2x7 --callers --why 'all of them were asked'",
    ),
    "run list": ("nightkey run list --since 1d", "nightkey run list --workflow crm-sync --status failed"),
    "run show": ("nightkey run show fl_run_01k2x7", "nightkey run show fl_run_01k2x7 -o json"),
    "run report": (
        "nightkey run report crm-sync --status completed --started-at 2026-01-31 --used prod-crm-token=1",
        "nightkey run report crm-sync --status failed --started-at 2026-01-31 --node send --cause outage",
    ),
    "notice list": ("nightkey notice list", "nightkey notice list --failed"),
    "notice show": ("nightkey notice show ntc_01k2x7", "nightkey notice show ntc_01k2x7 -o json"),
    "notice preview": ("nightkey notice preview crm", "nightkey notice preview crm --at 7d"),
    "notice template": ("nightkey notice template", "nightkey notice template digest"),
    "notice retry": ("nightkey notice retry ntc_01k2x7", "nightkey notice retry ntc_01k2x7 -o json"),
    "up": ("nightkey up", "nightkey up --only worker"),
    "serve": ("nightkey serve", "nightkey serve --listen 127.0.0.1:8321"),
    "console open": ("nightkey console open", "nightkey console open --as ci"),
    "principal create": (
        "nightkey principal create deploy --kind service --role operator",
        "nightkey principal create ann@example.org --role owner --owner crm",
    ),
    "principal list": ("nightkey principal list", "nightkey principal list -o json"),
    "principal roles": ("nightkey principal roles", "nightkey principal roles > roles.md"),
    "principal role": (
        "nightkey principal role ci --give viewer",
        "nightkey principal role ci --give owner --owner crm",
    ),
    "principal token": ("nightkey principal token ci", "nightkey principal token ci --lifetime 30d"),
    "principal revoke": ("nightkey principal revoke ci", "nightkey principal revoke ci -o json"),
    "audit list": (
        "nightkey audit list --item prod-crm-token",
        "nightkey audit list --action rotation --from 2026-01-01 --limit 50",
    ),
    "audit export": (
        "nightkey audit export record.json --from 2026-01-01",
        "nightkey audit export record.json --from 2026-01-01 --csv rotations.csv --replace",
    ),
    "audit key": ("nightkey audit key", "nightkey audit key > nightkey.pub"),
    "audit verify": ("nightkey audit verify", "nightkey audit verify --rows"),
    "audit accept-row": (
        "nightkey audit accept-row items vlt_01k2x7 --yes",
        "nightkey audit accept-row items vlt_01k2x7 --yes -o json",
    ),
    "audit anchor": ("nightkey audit anchor", "nightkey audit anchor > anchor.txt"),
    "key check": ("nightkey key check --value-file value.txt", "nightkey key check --value-file - < value.txt"),
    "key jwks": (
        "nightkey key jwks prod-signing-key",
        "nightkey key jwks prod-signing-key --output keys.json",
    ),
    "backup": (
        "nightkey backup nightkey.backup",
        "nightkey backup nightkey.backup --replace",
    ),
    "restore": ("nightkey restore nightkey.backup --replace", "nightkey restore --adopt"),
    "migrate-to": (
        "nightkey migrate-to postgresql://nightkey@127.0.0.1/nightkey --dry-run",
        "nightkey migrate-to --url-file url.txt",
    ),
    "reconcile list": ("nightkey reconcile list", "nightkey reconcile list -o json"),
    "reconcile run": ("nightkey reconcile run", "nightkey reconcile run prod-mail-password"),
    "reconcile accept": (
        "nightkey reconcile accept prod-crm-token",
        "nightkey reconcile accept prod-crm-token prod-mail-password",
    ),
    "keyring restrict": (
        "nightkey keyring restrict serving.json",
        "nightkey --home /srv/nightkey keyring restrict serving.json",
    ),
    "node list": ("nightkey node list", "nightkey node list -o json"),
    "node show": ("nightkey node show webhook", "nightkey node show ssh"),
    "rotator list": ("nightkey rotator list", "nightkey rotator list -o json"),
    "rotator show": ("nightkey rotator show random", "nightkey rotator show http"),
}
"""By the words of the command."""

STATUS: Final = "Exit status: 0 done, 1 something failed, 2 wrong use, 3 refused (nightkey help exit-status)."


def write_epilog(words: str) -> str:
    """What stands at the end of a command's help: nothing is parted."""
    lines = ["\b", "Examples:", *(f"  {example}" for example in EXAMPLES.get(words, ()))]
    return "\n".join([*lines, "", "\b", STATUS])
