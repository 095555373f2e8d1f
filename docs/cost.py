"""What a month costs: AWS's list prices of us-east-1 in US dollars, without free tiers.

Print the tables of docs/scale-and-cost.md with `python -m docs.cost`. Prices without another date
were read in March 2026.
"""

from math import exp, inf

MILLION = 1e6
GB = 1e9
Tiers = tuple[tuple[float, float], ...]  # upper limit of each tier, price per unit

# The service, as deployed to prod
MEMORY_GB = 0.25
BILLED_SECONDS = 0.002  # of a warm invocation, rounded up to whole milliseconds
INIT_SECONDS = 0.1  # of a cold start, billed too: 80 ms for an empty function, times 1.25
FUNCTION_LOG_BYTES = 280  # the function's line; SystemLogLevel leaves out 330 of Lambda's own
ACCESS_LOG_BYTES = 230  # API Gateway's line
RESPONSE_BYTES = 600  # nearly all headers
ALARMS = 4
IDLE_SECONDS = 420  # how long Lambda keeps an idle instance: not promised, 5 to 15 minutes are seen

# aws.amazon.com/lambda/pricing
LAMBDA_REQUEST = 0.20 / MILLION
LAMBDA_GB_SECOND = 0.0000133334  # arm64
# aws.amazon.com/api-gateway/pricing
REST_API: Tiers = (
    (333 * MILLION, 3.50 / MILLION),
    (1000 * MILLION, 2.80 / MILLION),
    (20000 * MILLION, 2.38 / MILLION),
    (inf, 1.51 / MILLION),
)
HTTP_API: Tiers = ((300 * MILLION, 1.00 / MILLION), (inf, 0.90 / MILLION))
# aws.amazon.com/cloudwatch/pricing; the alarm from c3x.dev, read in November 2026
LOGS: Tiers = (
    (10_000 * GB, 0.50 / GB),
    (30_000 * GB, 0.25 / GB),
    (50_000 * GB, 0.10 / GB),
    (inf, 0.05 / GB),
)
ALARM = 0.10
# aws.amazon.com/ec2/pricing/on-demand
TRANSFER: Tiers = ((10_000 * GB, 0.09 / GB), (inf, 0.085 / GB))
# aws.amazon.com/cloudfront/pricing, read in November 2026; transfer from AWS to it is free
CLOUDFRONT_REQUEST = 1.00 / MILLION
CLOUDFRONT_TRANSFER: Tiers = ((10_000 * GB, 0.085 / GB), (inf, 0.08 / GB))


def tiered(amount: float, tiers: Tiers) -> float:
    """Return the price of an amount, each part at its tier's price."""
    price, below = 0.0, 0.0
    for upper, each in tiers:
        price += max(0.0, min(amount, upper) - below) * each
        below = upper
    return price


def compute(requests: float) -> float:
    """Return what Lambda charges for this many warm invocations."""
    return requests * (LAMBDA_REQUEST + BILLED_SECONDS * MEMORY_GB * LAMBDA_GB_SECOND)


def logs(requests: float, bytes_each: float) -> float:
    """Return what CloudWatch charges for the logs of this many requests."""
    return tiered(requests * bytes_each, LOGS)


def transfer(requests: float, tiers: Tiers = TRANSFER) -> float:
    """Return what this many responses cost on their way to the internet."""
    return tiered(requests * RESPONSE_BYTES, tiers)


def function_url(requests: float) -> float:
    """Return what the function and its log cost, with nothing in front of it."""
    return compute(requests) + logs(requests, FUNCTION_LOG_BYTES)


def cold_share(per_hour: float) -> float:
    """Return the share of low, random traffic that meets a cold start, after an idle period."""
    return exp(-per_hour * IDLE_SECONDS / 3600)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, with all columns but the first aligned right."""
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]) + "\n"


def tables() -> str:
    """Return the tables of docs/scale-and-cost.md."""
    costs, fronts = [], []
    alarms = ALARMS * ALARM
    for name, n in {"1 million": 1e6, "100 million": 1e8, "10 billion": 1e10}.items():
        log = logs(n, FUNCTION_LOG_BYTES + ACCESS_LOG_BYTES)
        parts = [compute(n), tiered(n, REST_API), log, transfer(n), alarms]
        costs.append([name, f"{n / 30 / 86400:,.1f}", *dollars(*parts, sum(parts))])
        behind = compute(n) + log + transfer(n) + alarms
        cached = n * CLOUDFRONT_REQUEST + transfer(n, CLOUDFRONT_TRANSFER)
        totals = [
            behind + tiered(n, REST_API),
            behind + tiered(n, HTTP_API),
            function_url(n) + transfer(n) + alarms,
            function_url(n / 10) + cached + alarms,
        ]
        fronts.append([name, *dollars(*totals)])
    cold = [
        [f"{rate:,}", f"{cold_share(rate):.1%}", f"{rate * 720 * cold_share(rate):,.0f}"]
        for rate in (1, 5, 10, 20, 60)
    ]
    one_init = INIT_SECONDS * MEMORY_GB * LAMBDA_GB_SECOND
    parts_head = ["Lambda", "API Gateway", "logs", "data", "alarms", "total"]
    fronts_head = ["REST API", "HTTP API", "function URL", "CloudFront, 90 % cached"]
    return "\n".join(
        [
            table(["requests per month", "per second", *parts_head], costs),
            table(["total with", *fronts_head], fronts),
            table(["requests per hour", "cold starts", "cold starts per month"], cold),
            f"A million cold starts cost ${one_init * MILLION:.2f} of INIT time.\n",
        ]
    )


def dollars(*amounts: float) -> list[str]:
    """Return amounts as a table shows them."""
    return [f"${amount:,.2f}" for amount in amounts]


if __name__ == "__main__":
    print(tables())
