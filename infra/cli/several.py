"""Options that take several values at once: `--reveal A.json B.json` as well as `--reveal A.json --reveal B.json`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Several(TyperCommand):
    """A command with one argument before its options: behind it, further values belong to the option before."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        multiple = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        return super().parse_args(ctx, repeated(args, multiple))


def repeated(args: list[str], multiple: set[str]) -> list[str]:
    """Repeats an option of `multiple` before each further value of it; nothing changes before the argument is seen."""
    out: list[str] = []
    current, argument_seen = "", False
    for n, word in enumerate(args):
        after_option = n > 0 and args[n - 1].startswith("-") and "=" not in args[n - 1]
        if word.startswith("-") and word != "-":
            current = word if word in multiple else ""
        elif not after_option:
            if current and argument_seen:
                out.append(current)
            argument_seen = True
        out.append(word)
    return out
