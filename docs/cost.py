"""What a month costs: AWS's list prices of us-east-1, March 2026, in US dollars, no free tiers.

The prices: aws.amazon.com/lambda/pricing, /api-gateway/pricing, /cloudwatch/pricing and
/cloudfront/pricing. Print the tables of docs/scale-and-cost.md with `python -m docs.cost`.
"""

from math import exp, inf

MILLION = 1e6
GB = 1e9
Tiers = tuple[tuple[float, float], ...]  # up to so many, so much for each

# What the service is, as deployed to prod
MEMORY_GB = 0.25
BILLED_SECONDS = 0.002  # a warm invocation, rounded up to whole milliseconds
INIT_SECONDS = 0.05  # billed too, at a cold start; see benchmarks/results.md
LOG_BYTES = 700  # our line 160, Lambda's START, END and REPORT 330, API Gateway's access log 210
ANSWER_BYTES = 600  # nearly all headers
IDLE_SECONDS = 420  # how long Lambda keeps an idle instance: not promised, 5 to 15 minutes are seen

LAMBDA_REQUEST = 0.20 / MILLION
LAMBDA_GB_SECOND = 0.0000133334  # arm64
REST_API: Tiers = (
    (333 * MILLION, 3.50 / MILLION),
    (1000 * MILLION, 2.80 / MILLION),
    (20000 * MILLION, 2.38 / MILLION),
    (inf, 1.51 / MILLION),
)
HTTP_API: Tiers = ((300 * MILLION, 1.00 / MILLION), (inf, 0.90 / MILLION))
CLOUDFRONT_REQUEST = 1.00 / MILLION
LOGS: Tiers = (
    (10_000 * GB, 0.50 / GB),
    (30_000 * GB, 0.25 / GB),
    (50_000 * GB, 0.10 / GB),
    (inf, 0.05 / GB),
)
TRANSFER: Tiers = ((10_000 * GB, 0.09 / GB), (inf, 0.085 / GB))


def tiered(amount: float, tiers: Tiers) -> float:
    """Return the price of an amount, each part of it at the price of its tier."""
    price, below = 0.0, 0.0
    for upper, each in tiers:
        price += max(0.0, min(amount, upper) - below) * each
        below = upper
    return price


def compute(requests: float) -> float:
    """Return what Lambda asks for so many warm invocations."""
    return requests * (LAMBDA_REQUEST + BILLED_SECONDS * MEMORY_GB * LAMBDA_GB_SECOND)


def cold_share(per_hour: float) -> float:
    """Return which share of a low, random traffic meets a cold start: nobody came while idle."""
    return exp(-per_hour * IDLE_SECONDS / 3600)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, all but the first column to the right."""
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]) + "\n"


def tables() -> str:
    """Return the tables of docs/scale-and-cost.md."""
    months = {"1 million": 1e6, "100 million": 1e8, "10 billion": 1e10}
    costs, fronts = [], []
    for name, n in months.items():
        logs, transfer = tiered(n * LOG_BYTES, LOGS), tiered(n * ANSWER_BYTES, TRANSFER)
        rest = compute(n) + logs + transfer
        parts = [compute(n), tiered(n, REST_API), logs, transfer, rest + tiered(n, REST_API)]
        costs.append([name, f"{n / 30 / 86400:,.1f}", *(f"${part:,.2f}" for part in parts)])
        cached = n * CLOUDFRONT_REQUEST + transfer + (rest - transfer) / 10
        totals = [rest + tiered(n, REST_API), rest + tiered(n, HTTP_API), rest, cached]
        fronts.append([name, *(f"${total:,.2f}" for total in totals)])
    cold = [
        [f"{rate:,}", f"{cold_share(rate):.1%}", f"{rate * 720 * cold_share(rate):,.0f}"]
        for rate in (1, 5, 10, 20, 60)
    ]
    one_init = INIT_SECONDS * MEMORY_GB * LAMBDA_GB_SECOND
    return "\n".join(
        [
            table(
                ["requests a month", "a second", "Lambda", "API Gateway", "logs", "data", "total"],
                costs,
            ),
            table(
                [
                    "total with",
                    "REST API",
                    "HTTP API",
                    "function URL",
                    "CloudFront, 90 % cached",
                ],
                fronts,
            ),
            table(["requests an hour", "meet a cold start", "cold starts a month"], cold),
            f"A million cold starts cost ${one_init * MILLION:.2f} of INIT.\n",
        ]
    )


if __name__ == "__main__":
    print(tables())
