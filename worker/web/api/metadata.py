"""`/nightkey/metadata` and `/nightkey/named-policies`: what there is as files have it, and what files would
change of it, shown before it is done.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.items import Changed, ExplainedPart
from worker.web.api.wire import leave_out
from worker.wording.metadata import (
    describe_applied,
    describe_metadata_plan,
    describe_named_policy,
    describe_whole_policy,
)
from worker.wording.plain import to_plain

router = APIRouter(prefix="/nightkey", tags=["metadata"], route_class=AskedRoute)
_ITEM: dict[str, Any] = {"owners": ["platform"], "labels": {"env": "prod"}, "policy": "monthly"}


class VaultMetadata(BaseModel):
    """By name: owners without their routes, named policies, and items without values or expiry. The policy of
    an item is the name of one, or its own parts, with the one that it follows as `named`. `unread`: how many
    of them cannot be read, and are left out.
    """

    owners: dict[str, dict[str, Any]]
    policies: dict[str, dict[str, Any]]
    items: dict[str, dict[str, Any]]
    unread: int


class WantedMetadata(BaseModel):
    """What is not named is left alone; `prune`: items and named policies of no name here are deleted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    owners: dict[str, Any] = Field(default={}, examples=[{"platform": {"zone": "Europe/Zurich"}}])
    policies: dict[str, Any] = Field(default={}, examples=[{"monthly": {"lifetime": "30d"}}])
    items: dict[str, Any] = Field(default={}, examples=[{"prod-crm-token": _ITEM}])
    prune: bool = Field(default=False, examples=[False])


class MarkedMetadata(WantedMetadata):
    """`mark`: of the plan that was looked at. `skip_missing`: items that there are not stop nothing."""

    mark: str = Field(max_length=64, examples=["4b5f0c4ad2b1f3a6"])
    skip_missing: bool = Field(default=False, examples=[False])


class PlannedStep(BaseModel):
    """`deed`: `create`, `change` or `delete`; `add`: it is not there, and `command` adds it with a value."""

    subject: str
    name: str
    deed: str
    changes: list[Changed]
    command: str | None


class FoundFault(BaseModel):
    """`key` leads to it: `items.prod-crm-token.policy.lead`."""

    subject: str | None
    name: str
    key: str
    says: str


class PlannedMetadata(BaseModel):
    """`kept`: how many are so already. While there are `faults`, nothing is done."""

    mark: str
    steps: list[PlannedStep]
    kept: int
    faults: list[FoundFault]


class AppliedMetadata(BaseModel):
    """`done`: how many steps. `problem`: why the next one could not be; the same call does the rest.
    `warnings`: which of the new owners nothing reaches.
    """

    done: int
    problem: str | None
    warnings: list[str]


class PolicyRow(BaseModel):
    """`parts`: what it says itself. `items`: how many follow it."""

    name: str
    mode: str
    rotator: str | None
    lifetime: str | None
    lead: str
    items: int
    parts: dict[str, Any]
    updated_at: datetime


class WholePolicy(PolicyRow):
    followers: list[str]
    explained: list[ExplainedPart]


@router.get("/metadata", **asks(Action.METADATA_SEE))
def export_metadata(request: Request, principal: Asker) -> VaultMetadata:
    """What there is, as files in git have it. It takes who may see all items."""
    exported = services_of(request).bulk.metadata.export(principal)
    return VaultMetadata(**to_plain(exported.document), unread=len(exported.errors))


@router.post("/metadata/plan", **asks(Action.METADATA_SEE))
def plan_metadata(request: Request, principal: Asker, wanted: WantedMetadata) -> PlannedMetadata:
    """What would be done; nothing is."""
    plan = services_of(request).bulk.metadata.plan(_document(wanted), prune=wanted.prune, principal=principal)
    return PlannedMetadata.model_validate(describe_metadata_plan(plan))


@router.post("/metadata", **starts(Action.METADATA_APPLY))
def apply_metadata(request: Request, principal: Asker, wanted: MarkedMetadata) -> AppliedMetadata:
    """Does what the plan with that mark says, and nothing else; 409 where it would be another by now."""
    services = services_of(request)
    applied = services.bulk.metadata.apply(
        _document(wanted),
        prune=wanted.prune,
        skip_missing=wanted.skip_missing,
        seen=wanted.mark,
        principal=principal,
    )
    return AppliedMetadata.model_validate(describe_applied(applied, services.lookup.views.find_unreached()))


@router.get("/named-policies", tags=["policies"], **asks(Action.METADATA_SEE))
def list_named_policies(request: Request, response: Response) -> list[PolicyRow]:
    """With the number of items that follow each."""
    found = leave_out(services_of(request).bulk.metadata.list_policies(), response)
    return [PolicyRow.model_validate(describe_named_policy(one, items=items)) for one, items in found]


@router.get("/named-policies/{name:name}", tags=["policies"], **asks(Action.METADATA_SEE))
def get_named_policy(request: Request, name: str) -> WholePolicy:
    found = services_of(request).bulk.metadata.get_policy(name)
    return WholePolicy.model_validate(describe_whole_policy(found.policy, followers=found.followers))


def _document(wanted: WantedMetadata) -> Any:  # noqa: ANN401  # as it was sent: it is read strictly
    return {"owners": wanted.owners, "policies": wanted.policies, "items": wanted.items}
