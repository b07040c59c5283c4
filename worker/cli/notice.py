"""`nightkey notice`: what owners were told, whether it reached them, and what they will read tonight."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.commands import Commands
from worker.cli.ids import NoticeId
from worker.cli.inputs import parse_time
from worker.cli.output import describe_all, print_json, print_lines, print_table, tell_unreadable
from worker.cli.session import Json, ask
from worker.domain.states import DeliveryState
from worker.wording.people import describe_templates
from worker.wording.plain import Shape
from worker.wording.shapes import describe_notice

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True)


_PATH: Final = "/nightkey/notices"
_OWNERS: Final = "/nightkey/owners"
_TEMPLATES: Final = "/nightkey/templates"


class LetterForm(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


FormOption = Annotated[LetterForm, typer.Option("--format", help="As plain text, Markdown or HTML.")]


@app.command("list")
def list_notices(
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what somebody did not take, last try included.")
    ] = False,
    json: Json = False,
) -> None:
    """List notices, newest first. Each is waiting, sent, failed, withdrawn, or unrouted."""
    rows, errors = ask(
        lambda services: describe_all(services.lookup.views.list_notices(failed=failed), describe_notice),
        lambda server: server.pages(_PATH, failed=failed),
    )
    if json:
        print_json(rows)
    else:
        columns = ("id", "created_at", "owner", "kind", "state", "next_at", "subject", "error")
        none = "every route took what it was given" if failed else "no notices yet"
        print_table(
            rows,
            columns,
            none,
            unread=errors,
            spare=("error", "next_at", "kind"),
            hidden=("body", "deliveries"),
        )
    tell_unreadable(errors)


@app.command()
def show(notice_id: NoticeId, *, form: FormOption = LetterForm.TEXT, json: Json = False) -> None:
    """Show a notice, and what came of it at each recipient."""
    notice = ask(
        lambda services: describe_notice(services.lookup.views.get_notice(notice_id)),
        lambda server: server.get(_PATH, notice_id),
    )
    if json:
        print_json(notice)
        return
    body = "It says what is left to say when it leaves." if notice["body"] is None else notice["body"]
    print_lines([notice["subject"], "", _render(body, form).rstrip("\n"), ""])
    print_table(
        notice["deliveries"],
        ("route", "recipient", "state", "parts", "attempts", "next_at", "sent_at", "error"),
        "it has no route",
        spare=("parts", "attempts"),
    )


@app.command()
def preview(
    owner: str,
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Of the night at that time; default: the next.")
    ] = None,
    form: FormOption = LetterForm.TEXT,
    json: Json = False,
) -> None:
    """Show the digest that an owner would read after tonight. Nothing is written or sent."""

    def preview_here(services: "Services") -> Shape:
        previews = services.night.digest_preview
        night = previews.find_night(None if at is None else parse_time(at, services.clock()))
        return {"owner": owner, "night": night, **vars(previews.preview(owner, night))}

    def preview_there(server: "FarServer") -> Shape:
        time = None if at is None else parse_time(at, server.clock()).isoformat()
        digest: Shape = server.get(_OWNERS, owner, "digest", at=time, long=True)
        return digest

    digest = ask(preview_here, preview_there)
    body = _render(digest["body"], form)
    if json:
        print_json({name: digest[name] for name in ("owner", "night", "subject")} | {"body": body})
    else:
        print_lines([digest["subject"], "", body.rstrip("\n")])


@app.command()
def template(
    kind: Annotated[str | None, typer.Argument(help="A kind of message: its template is printed.")] = None,
    *,
    json: Json = False,
) -> None:
    """List the kinds of message and their templates, or print one. A copy of your own may begin with that.

    1 if one of your own cannot be read.
    """
    if kind is not None:
        text = ask(
            lambda services: services.notices.letters.source(kind),
            lambda server: str(server.get(_TEMPLATES, kind)["text"]),
        )
        print_lines([text.rstrip("\n")])
        return
    found = ask(
        lambda services: describe_templates(services.notices.letters, services.settings.templates_path),
        lambda server: server.get(_TEMPLATES),
    )
    if json:
        print_json(found["templates"])
    else:
        print_table(found["templates"], ("kind", "template"), "none")
        print_lines(["", f"yours go to {found['folder']}/KIND.md"])
    for problem in found["problems"]:
        print_lines([problem])
    if found["problems"]:
        raise typer.Exit(1)


@app.command()
def retry(notice_id: NoticeId, *, json: Json = False) -> None:
    """Try a notice again where it was not taken. Nobody who has it gets it twice."""

    def retry_here(services: "Services") -> Shape:
        services.notices.delivery.retry(notice_id)
        services.notices.delivery.deliver()
        return describe_notice(services.lookup.views.get_notice(notice_id))

    notice = ask(retry_here, lambda server: server.post(_PATH, notice_id, "retry"))
    if json:
        print_json(notice)
    else:
        print_lines([f"{notice['subject']}: tried again, now {notice['state']}"])
    if notice["state"] == DeliveryState.FAILED:
        raise typer.Exit(1)


def _render(markdown: str, form: LetterForm) -> str:
    from worker.delivery.formats import to_html, to_text  # noqa: PLC0415  # only where a body is shown

    if form is LetterForm.HTML:
        return to_html(markdown)
    return markdown if form is LetterForm.MARKDOWN else to_text(markdown)
