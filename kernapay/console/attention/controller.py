"""HTTP for the work that waits for a person."""

from litestar import Controller
from litestar.di import NamedDependency

from kernapay.console.attention.dtos import Attention
from kernapay.console.attention.service import AttentionService
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Role
from kernapay.web.handlers import get


class AttentionController(Controller):
    path = "/v1/api/admin/attention"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def attention(self, attention_service: NamedDependency[AttentionService]) -> Attention:
        """Return what waits for a person now: mismatches, findings, events, deliveries, disputes, providers, nights."""
        return await attention_service.look()
