"""The people and the offers of the example data."""

from typing import Final, NamedTuple


class Offer(NamedTuple):
    """A service type, with its prices in paise. `weight` says how often it is sold."""

    service_type: str
    description: str
    prices: tuple[int, ...]
    weight: int


OFFERS: Final = (
    Offer("CONSULTATION", "Consultation, 30 minutes", (50_000, 80_000, 120_000), 45),
    Offer("DIAGNOSTICS", "Blood test and report", (65_000, 149_900, 245_000, 450_000), 25),
    Offer("PHARMACY", "Medicines, home delivery", (18_500, 42_300, 96_750, 179_900), 20),
    Offer("HOME_VISIT", "Visit of a nurse at home", (120_000, 150_000), 10),
)
METHODS: Final = (("upi", 56), ("card", 28), ("netbanking", 10), ("wallet", 6))


class Provider(NamedTuple):
    email: str
    name: str
    is_approved: bool = True


PROVIDERS: Final = (
    Provider("kavita.menon@example.com", "Dr. Kavita Menon"),
    Provider("citylab@example.com", "City Lab Koramangala"),
    Provider("greenleaf@example.com", "Greenleaf Pharmacy"),
    Provider("arjun.shetty@example.com", "Dr. Arjun Shetty", is_approved=False),
)
SHOP: Final = ("clinic@example.com", "Sunrise Clinic")
"""The account that sells to customers without an account, by an API key."""

_FIRST: Final = (
    *("Asha", "Rohan", "Priya", "Imran", "Meera", "Sanjay", "Lakshmi", "Farhan", "Divya"),
    *("Arun", "Neha", "Joseph", "Kiran", "Fatima", "Vikram", "Ananya", "Suresh", "Pooja"),
)
_LAST: Final = (
    *("Rao", "Iyer", "Khan", "Nair", "Patel", "Das", "Fernandes", "Singh", "Gowda", "Sharma"),
)


class Customer(NamedTuple):
    reference: str
    name: str
    email: str
    contact: str


def customer(number: int) -> Customer:
    """Return the customer of this number, from 0. Two numbers are two people."""
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[(number * 7 + number // len(_FIRST)) % len(_LAST)]
    return Customer(
        f"patient-{1001 + number}",
        f"{first} {last}",
        f"{first}.{last}.{number}@example.com".lower(),
        f"+9198{45_000_000 + number * 7_919:08}",
    )
