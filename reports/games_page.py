"""The page of a game: one HTML file in the manner of the report, without any script."""

from __future__ import annotations

from typing import Any

from reports.games import game_view
from reports.render import game_chart, render_page

TEMPLATE, LOGS = "games_page.html.j2", "logs"


def render_game(results: dict[str, Any]) -> str:
    """The content of ``game.json`` as HTML that lies beside the folder of its logs. The same content always gives the same bytes."""
    view = game_view({"results": results, "logs": LOGS})
    return render_page(TEMPLATE, game=view, charts={"games": game_chart(view)})
