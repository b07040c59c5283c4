"""Logging in to a mail server, with names and passwords in any script: they are sent as UTF-8 (RFC 4616)."""

import base64
import smtplib


def log_in(server: smtplib.SMTP, username: str, password: str) -> None:
    """By PLAIN or LOGIN, the first that is offered, and once: more tries would lock an account sooner.

    `SMTPAuthenticationError` with the server's code, or `SMTPNotSupportedError` where neither is offered.
    """
    server.ehlo_or_helo_if_needed()
    offered = server.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        code, _ = server.docmd("AUTH", f"PLAIN {_encode('', username, password)}")
    elif "LOGIN" in offered:
        code, _ = server.docmd("AUTH", f"LOGIN {_encode(username)}")
        if code == 334:
            code, _ = server.docmd(_encode(password))
    else:
        raise smtplib.SMTPNotSupportedError
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, b"")


def _encode(*parts: str) -> str:
    return base64.b64encode("\0".join(parts).encode()).decode()
