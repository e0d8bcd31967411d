"""Steps of a refresh that run elsewhere: what the assets call in place of their own steps in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipeline.models.model import Model
    from pipeline.models.table_state import TableState


class RemoteSteps(Protocol):
    """The steps, called in this order in one run. Those without a type here return what the layers above define."""

    def load(self, run_id: str) -> Any:
        """Load landing: a `StagingResult`."""
        ...

    def model(self, model: Model) -> Any:
        """Update a model's table: a `Refreshed`."""
        ...

    def forecast(self, run_id: str) -> int:
        """Forecast every account; returns the number of accounts for which today's issue was landed."""
        ...

    def table_state(self, name: str) -> TableState | None:
        """What the checks of a table of forecasts found; None for a table whose rows are in this process."""
        ...

    def readings(self) -> list[Any]:
        """`AccountFacts` of every account, for the rules of alerts."""
        ...

    def publish(self, run_id: str) -> Any:
        """Publish the tables and switch readers to them: a `Build`."""
        ...

    def finish(self) -> None:
        """Tidy up after the run."""
        ...
