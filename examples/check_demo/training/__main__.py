"""``python -m examples.check_demo.training``: draw, learn, and write the network's weights."""

from pathlib import Path

import click
import numpy as np
from rich.progress import track

from examples.check_scanner.recogniser import model

from .drawn import drawn


@click.command
@click.option("--checks", default=15_000, show_default=True, help="How many to draw.")
@click.option("--epochs", default=9, show_default=True, help="How often to learn from each.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=model.WEIGHTS,
    help="Where the weights go; by default, where the recogniser has them.",
)
def main(checks: int, epochs: int, output: Path) -> None:
    """Teach the recogniser's network; needs `pip install jax optax`, and an hour."""
    try:
        from .learn import joined, learned
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install jax optax") from None

    def told(epoch: int, loss: float) -> None:
        click.echo(f"epoch {epoch + 1} of {epochs}: loss {loss:.4f}")

    made = track(drawn(checks), "Drawing", total=checks)
    arrays = learned(joined([lesson for lessons in made for lesson in lessons]), epochs, told)
    np.savez(output, **arrays)  # type: ignore[arg-type] # the stub takes names for options
    click.echo(f"{output}: {output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
