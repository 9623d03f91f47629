"""How often harmless answers raise an alert: measured on prompts that the calibration never saw.

    python benchmarks/false_alarms.py FILE.jsonl [--limit 200]

Each line of FILE has a `prompt` (and maybe a `label`; of labelled lines only `safe` ones count). Prints JSON: alerts
per answer with a 95 % Wilson interval, by promised rate.
"""

import argparse
import json
from pathlib import Path
from statistics import NormalDist

import hatcat
from hatcat.evals.machine import machine
from hatcat.monitor.job import Job, run

PROMISED = (0.1, 0.05, 0.02, 0.01)


def wilson(hits: int, n: int) -> list[float]:
    """95 % Wilson score interval of a proportion."""
    z = NormalDist().inv_cdf(0.975)
    centre = (hits + z * z / 2) / (n + z * z)
    half = z * (hits * (n - hits) / n + z * z / 4) ** 0.5 / (n + z * z)
    return [round(max(centre - half, 0), 4), round(centre + half, 4)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.file.read_text().splitlines()]
    prompts = [line["prompt"] for line in lines if line.get("label", "safe") == "safe"]
    prompts = prompts[:: max(len(prompts) // options.limit, 1)][: options.limit]
    loaded = hatcat.load(hatcat.load_settings())
    found = []
    for number, prompt in enumerate(prompts):
        job = Job(
            messages=[{"role": "user", "content": prompt}],
            max_tokens=options.tokens,
            sampling={"seed": number},
            watch={"detail": "summary"},
        )
        for event in run(loaded.engine, loaded.monitor, job):
            if event["event"] == "finish" and event["summary"]["divergence"]:
                found.append(event["summary"]["divergence"]["p"])
    thresholds = [
        {
            "promised": p,
            "measured": round(sum(x <= p for x in found) / len(found), 4),
            "interval": wilson(sum(x <= p for x in found), len(found)),
        }
        for p in PROMISED
    ]
    print(
        json.dumps(
            {
                "file": options.file.name,
                "answers": len(found),
                "answer_tokens": options.tokens,
                "thresholds": thresholds,
                "p_values": sorted(found),
                "machine": machine(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
