"""What the invented shops sell, and what a basket of it costs.

Here: items as payments and as carts show them. Not here: who bought them (``till``).
"""

from typing import Any

Item = dict[str, Any]

#: Id, name, price in the smallest unit of the currency, whether it comes with a choice of milk.
_MENU = (
    ("FOOD014", "Flat white", 500, True),
    ("FOOD015", "Long black", 450, False),
    ("FOOD016", "Chai latte", 550, True),
    ("FOOD021", "Crème brûlée tart", 780, False),
    ("FOOD022", "Almond croissant", 690, False),
    ("FOOD031", "Phở with tofu", 1650, False),
    ("FOOD032", "Chicken & avo roll", 1290, False),
    ("FOOD033", "Sushi set, 12 pieces", 1890, False),
    ("FOOD041", "Kids' pancake", 950, False),
    ("MISC001", "Tote bag", 1200, False),
    ("MISC002", "Beans 250 g", 1995, False),
    ("CARD050", "Gift card", 5000, False),
)
_MILKS = (("MLK1", "Full cream", 0), ("MLK2", "Oat", 60), ("MLK3", "Soy", 50))
_MOST_ITEMS = 4


def basket(draws: tuple[int, ...]) -> list[Item]:
    """Return one to four items, as a payment shows them; ``draws`` decide."""
    return [_item(draw) for draw in draws[1 : 2 + draws[0] % _MOST_ITEMS]]


def line_total(items: list[Item]) -> int:
    """Add up amounts and choices, by quantity."""
    return sum(
        item["quantity"] * (item["amount"] + sum(choice["amount"] for choice in _choices_of(item)))
        for item in items
    )


def cart_items(items: list[Item]) -> list[Item]:
    """Return a basket as the cart of an order shows it: titles, prices with tax, no quantity."""
    return [
        {
            "id": item["id"],
            "amount": item["amount"],
            "note": "extra hot" if item["quantity"] > 2 else "",
            "options": [
                {
                    "id": option["id"],
                    "title": option["name"],
                    "choices": [
                        {
                            "id": choice["id"],
                            "title": choice["name"],
                            "quantity": 1,
                            "price": {
                                "amount": choice["amount"],
                                "taxIncluded": choice["amount"] // 11,
                                "taxRate": 0.1,
                            },
                            "options": [],
                        }
                        for choice in option["choices"]
                    ],
                }
                for option in item["options"]
            ],
        }
        for item in items
    ]


def single_item(total: int) -> Item:
    """Return one item that costs all of a total."""
    item_id, name, _, _ = _MENU[0]
    return {
        "id": item_id,
        "name": name,
        "amount": total,
        "quantity": 1,
        "type": "item",
        "options": [],
    }


def _item(draw: int) -> Item:
    item_id, name, amount, has_milk = _MENU[draw % len(_MENU)]
    options: list[Item] = []
    if has_milk and draw // 16 % 4:
        milk_id, milk, extra = _MILKS[draw // 64 % len(_MILKS)]
        choice = {"id": milk_id, "name": milk, "amount": extra}
        options.append({"id": "OPT03", "name": "Milk", "choices": [choice]})
    return {
        "id": item_id,
        "name": name,
        "amount": amount,
        "quantity": 1 + draw // 256 % 3,
        "type": "item",
        "options": options,
    }


def _choices_of(item: Item) -> list[Item]:
    return [choice for option in item["options"] for choice in option["choices"]]
