"""The command ``completion``: prints what makes a shell complete commands and options."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  eval "$(tmpcache completion bash)"                  # in ~/.bashrc
  eval "$(tmpcache completion zsh)"                   # in ~/.zshrc
  tmpcache completion fish > ~/.config/fish/completions/tmpcache.fish"""
)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, /, shell: str | None) -> None:
    """Print a script for SHELL, by default the one of $SHELL, that completes this command."""
    shell = shell or os.path.basename(os.environ.get("SHELL", ""))
    completer = get_completion_class(shell) if shell in _SHELLS else None
    if completer is None:
        raise click.UsageError(f"name a shell: {', '.join(_SHELLS)}")
    group = context.find_root().command
    click.echo(completer(group, {}, "tmpcache", "_TMPCACHE_COMPLETE").source())
