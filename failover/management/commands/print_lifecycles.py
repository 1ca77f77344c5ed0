"""Prints every state table, as docs/states.md has them, or as JSON for a test bench."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ampdr.lifecycle import LIFECYCLES, Lifecycle


class Command(BaseCommand):
    help = "Prints every state table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=("markdown", "json"), default="markdown")

    def handle(self, *args: Any, **options: Any) -> None:
        lives = [LIFECYCLES[kind] for kind in sorted(LIFECYCLES)]
        if options["format"] == "json":
            self.stdout.write(json.dumps([as_data(life) for life in lives], indent=2))
        else:
            self.stdout.write("\n\n".join(as_table(life) for life in lives))


def as_data(life: Lifecycle) -> dict[str, Any]:
    return {
        "kind": life.kind,
        "initial": life.initial,
        "states": [{"name": state.name, "word": state.word} for state in life.states.values()],
        "moves": [
            {"name": move.name, "from": list(move.sources), "to": move.target, "by": move.by}
            for move in life.moves.values()
        ],
    }


def as_table(life: Lifecycle) -> str:
    word = {name: state.word for name, state in life.states.items()}
    lines = [f"## {life.kind.capitalize()}", "", f"Begins as {word[life.initial]}.", ""]
    if life.adopted:
        lines[2] += f" What was at work elsewhere before it was brought here begins as {word[life.adopted]}."
    lines += ["| Move | From | To | By |", "| --- | --- | --- | --- |"]
    for move in life.moves.values():
        sources = ", ".join(word[source] for source in move.sources)
        lines.append(f"| {move.name} | {sources} | {word[move.target]} | {move.by} |")
    return "\n".join(lines)
