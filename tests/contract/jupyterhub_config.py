"""A hub without a proxy in front of it: its token API is all that the tests are after."""

import os

from jupyterhub.auth import DummyAuthenticator
from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    should_start = False

    async def add_route(self, routespec, target, data):
        pass

    async def delete_route(self, routespec):
        pass

    async def get_all_routes(self):
        return {}

    async def check_routes(self, *_, **__):
        pass

    async def restore_routes(self):
        pass


c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub gives it
folder, port = os.environ["HUB_FOLDER"], int(os.environ["HUB_PORT"])
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = port
c.JupyterHub.bind_url = "http://127.0.0.1:0"
c.JupyterHub.authenticator_class = DummyAuthenticator
c.Authenticator.allow_all = True
c.JupyterHub.db_url = f"sqlite:///{folder}/hub.db"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie"
c.JupyterHub.services = [{"name": "nightkey", "api_token": os.environ["HUB_TOKEN"]}]
c.JupyterHub.load_roles = [
    {"name": "nightkey", "scopes": ["admin:users", "tokens", "read:users"], "services": ["nightkey"]}
]
