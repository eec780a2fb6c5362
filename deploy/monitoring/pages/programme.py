"""What the programme reaches."""

from __future__ import annotations

from deploy.monitoring.panels import Dashboard, Panel, Query, of_city

PROGRAMME = Dashboard(
    "programme",
    "Programme",
    "What the programme reaches. Figures with fewer than 10 women behind them are not shown.",
    (
        Panel(
            "Women registered",
            "none",
            "All that ever registered.",
            (Query(of_city("mamapost_registry_women_registered")),),
            "number",
        ),
        Panel(
            "Placed: persons (人)",
            "none",
            "Women who were placed at least once. Never added to participations.",
            (Query(of_city("mamapost_registry_placed_persons")),),
            "number",
        ),
        Panel(
            "Placed: participations (人次)",
            "none",
            "Placements made; a woman counts each time. Never added to persons.",
            (Query(of_city("mamapost_registry_placed_participations")),),
            "number",
        ),
        Panel(
            "Hours worked",
            "h",
            "Hours of shifts in this and in the last civil month.",
            (Query(f"{of_city('mamapost_registry_minutes_worked', 'month')} / 60", "{{month}} month"),),
            "number",
        ),
        Panel(
            "Posts by kind",
            "none",
            "How many posts there are, open and closed.",
            (Query(of_city("mamapost_registry_posts", "kind, state"), "{{kind}} {{state}}"),),
            "bars",
        ),
        Panel(
            "Pay of an hour by kind",
            "currencyCNY",
            "Mean expected hourly pay of open posts, mean over cities.",
            (Query("avg by (kind) (mamapost_registry_post_hourly_pay_mean_fen) / 100", "{{kind}}"),),
        ),
        Panel(
            "Pay gap to ordinary posts",
            "percentunit",
            "How far mama posts pay below an hour of ordinary work in the city. Above 0 is a gap.",
            (Query("avg by (kind) (mamapost_registry_pay_gap_bp) / 10000", "{{kind}}"),),
        ),
        Panel(
            "Rebates by community: the ten highest",
            "currencyCNY",
            "What employers owe to communities for free space, accrued so far.",
            (
                Query(
                    "topk(10, max by (city, community) (mamapost_revenue_rebates_fen_e4)) / 1000000",
                    "{{community}}",
                ),
            ),
            "bars",
        ),
        Panel(
            "Assessments by result",
            "none",
            "Exams of the courses, since the services were started.",
            (Query("sum by (result) (mamapost_training_results_total) or vector(0)", "{{result}}"),),
            "bars",
        ),
    ),
)
