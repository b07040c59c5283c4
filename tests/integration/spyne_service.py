"""A service made with spyne, run as a process of its own: prints its port, and serves until it is ended.

Usage: spyne_service.py PASSWORD
"""

import base64
import hashlib
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from spyne import (
    Application,
    ComplexModel,
    DateTime,
    Decimal,
    Fault,
    Integer,
    Iterable,
    ServiceBase,
    Unicode,
    rpc,
)
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
PASSWORD = sys.argv[1]


class Line(ComplexModel):
    __namespace__ = "urn:orders"
    sku = Unicode
    price = Decimal


def check(headers):
    """Reads the header that spyne took apart; its WSDL cannot name one of another namespace."""
    token = next((found for header in headers or () for found in header.iter(f"{{{WSSE}}}UsernameToken")), None)
    if token is None or token.findtext(f"{{{WSSE}}}Username") != "robot":
        raise Fault("wsse:FailedAuthentication", "who are you?")
    password, expected = token.find(f"{{{WSSE}}}Password"), PASSWORD
    if password.get("Type").endswith("#PasswordDigest"):
        nonce, created = token.findtext(f"{{{WSSE}}}Nonce"), token.findtext(f"{{{WSU}}}Created")
        made = base64.b64decode(nonce) + created.encode() + PASSWORD.encode()
        expected = base64.b64encode(hashlib.sha1(made).digest()).decode()
    if password.text != expected:
        raise Fault("wsse:FailedAuthentication", "the password is wrong")


class Guarded(ServiceBase):
    @rpc(Unicode, Integer, DateTime, _returns=Iterable(Line))
    def find_lines(ctx, sku, count, since):  # noqa: N805  # spyne's way
        check(ctx.in_header_doc)
        return [Line(sku=f"{sku} {since:%Y} {number}", price="1.50") for number in range(count)]

    @rpc(_returns=Unicode)
    def version(ctx):  # noqa: N805  # spyne's way
        check(ctx.in_header_doc)
        return "2.1"

    @rpc()
    def crash(ctx):  # noqa: N805  # spyne's way
        raise KeyError("within")


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    application = Application(
        [Guarded], tns="urn:guarded", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11()
    )
    server = make_server("127.0.0.1", 0, WsgiApplication(application), handler_class=Quiet)
    print(server.server_port, flush=True)  # noqa: T201  # how its caller finds it
    server.serve_forever()
