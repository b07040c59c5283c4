"""A hoster on loopback: a ledger that speaks SOAP, and a desk where an administrator sets passwords.

`PUT /accounts/NAME/password` sets one: of the mail server's user, or of the ledger's. The ledger asks for a
UsernameToken, and refuses with a fault whoever has another password.
"""

import hmac
import json
import threading
from collections.abc import Callable
from xml.etree import ElementTree as ET

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer

LEDGER_USER = "nightkey"
_BODY_MAX = 65_536
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSDL = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:l="urn:ledger" targetNamespace="urn:ledger">
  <types>
    <xsd:schema targetNamespace="urn:ledger" elementFormDefault="qualified">
      <xsd:element name="Post"><xsd:complexType><xsd:sequence>
        <xsd:element name="text" type="xsd:string"/></xsd:sequence></xsd:complexType></xsd:element>
      <xsd:element name="Balance"><xsd:complexType/></xsd:element>
      <xsd:element name="Entries" type="xsd:int"/>
    </xsd:schema>
  </types>
  <message name="PostIn"><part name="body" element="l:Post"/></message>
  <message name="BalanceIn"><part name="body" element="l:Balance"/></message>
  <message name="Out"><part name="body" element="l:Entries"/></message>
  <portType name="Ledger">
    <operation name="Post"><input message="l:PostIn"/><output message="l:Out"/></operation>
    <operation name="Balance"><input message="l:BalanceIn"/><output message="l:Out"/></operation>
  </portType>
  <binding name="Ledger" type="l:Ledger">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Post"><soap:operation soapAction="urn:ledger#Post"/>
      <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>
    <operation name="Balance"><soap:operation soapAction="urn:ledger#Balance"/>
      <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>
  </binding>
  <service name="Ledger">
    <port name="Ledger" binding="l:Ledger"><soap:address location="ADDRESS"/></port>
  </service>
</definitions>
"""


class Hoster(LoopbackServer):
    """`set_mail_password` is how the mail server learns a password: (user, password)."""

    def __init__(
        self, admin_token: str, ledger_password: str, set_mail_password: Callable[[str, str], None]
    ) -> None:
        super().__init__()
        self._admin_token = admin_token
        self._set_mail_password = set_mail_password
        self._ledger_password = ledger_password
        self._entries = 0
        self._lock = threading.Lock()

    @property
    def entries(self) -> int:
        """How many entries the ledger has taken."""
        with self._lock:
            return self._entries

    def knows(self, password: str) -> bool:
        """Whether the ledger accepts it now."""
        with self._lock:
            return hmac.compare_digest(password.encode(), self._ledger_password.encode())

    def respond(self, incoming: Incoming) -> Answer:
        if incoming.path == "/ledger":
            return self._keep_ledger(incoming)
        if incoming.method == "PUT" and incoming.path.endswith("/password"):
            return self._set_password(incoming)
        return Answer(status=404, body={"error": "not_found"})

    def _set_password(self, incoming: Incoming) -> Answer:
        if incoming.headers.get("authorization") != f"Bearer {self._admin_token}":
            return Answer(status=401, body={"error": "unauthorized"})
        name = incoming.path.split("/")[2]
        password = json.loads(incoming.body)["password"]
        if name == "ledger":
            with self._lock:
                self._ledger_password = password
        else:
            self._set_mail_password(name, password)
        return Answer(status=204)

    def _keep_ledger(self, incoming: Incoming) -> Answer:
        if incoming.method == "GET":
            return Answer(status=200, xml=_WSDL.replace("ADDRESS", f"{self.url}/ledger"))
        if len(incoming.body) > _BODY_MAX or b"<!DOCTYPE" in incoming.body:
            return _fault("soap:Client", "too large, or with a document type")
        envelope = ET.fromstring(incoming.body)  # noqa: S314  # without document types
        user = envelope.findtext(f".//{{{_SECURITY}}}Username", "")
        password = envelope.findtext(f".//{{{_SECURITY}}}Password", "")
        if user != LEDGER_USER or not self.knows(password):
            return _fault("wsse:FailedAuthentication", "this login is not known")
        with self._lock:
            self._entries += envelope.find(".//{urn:ledger}Post") is not None
            said = f'<l:Entries xmlns:l="urn:ledger">{self._entries}</l:Entries>'
        return Answer(status=200, xml=_wrap(said))


def _fault(code: str, text: str) -> Answer:
    names = f'xmlns:soap="{_SOAP}" xmlns:wsse="{_SECURITY}"'
    told = f"<soap:Fault {names}><faultcode>{code}</faultcode><faultstring>{text}</faultstring></soap:Fault>"
    return Answer(status=500, xml=_wrap(told))


def _wrap(body: str) -> str:
    return f'<soap:Envelope xmlns:soap="{_SOAP}"><soap:Body>{body}</soap:Body></soap:Envelope>'
