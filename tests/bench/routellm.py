"""RouteLLM's recorded outcomes as rows for tests.bench.model_routing: `python -m tests.bench.routellm FOLDER ROWS.jsonl`.

FOLDER holds the CSV files (`mmlu/responses`, say): a prompt, and whether each of two models answered it right. A cost is what
the prompt at four characters a token and one token of answer cost at the models' list prices, in US dollars.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from app.routing.prices import ListPrice, list_price

MODELS = {
    "mistralai/Mixtral-8x7B-Instruct-v0.1": ("open-mixtral-8x7b", "mistral"),
    "gpt-4-1106-preview": ("gpt-4-1106-preview", "openai"),
}


def cost(prompt: str, price: ListPrice) -> float:
    return (len(prompt) / 4 * price.price_in + price.price_out) / 1_000_000


def main(folder: Path, rows: Path) -> None:
    csv.field_size_limit(10**9)
    prices = {model: list_price(*known) for model, known in MODELS.items()}
    written = 0
    with rows.open("w", encoding="utf-8") as out:
        for path in sorted(folder.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    prompt = row["prompt"]
                    scores = {model: float(row[model] == "True") for model in MODELS}
                    costs = {model: cost(prompt, price) for model, price in prices.items()}
                    line = {"prompt": prompt, "scores": scores, "costs": costs}
                    out.write(json.dumps(line) + "\n")
                    written += 1
    print(f"{written} rows; dollars per million tokens: {prices}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
