"""What a client sends of a linked account, its stakeholder and its bank."""

from typing import Any

ACCOUNT: dict[str, Any] = {
    "email": "North@example.com",
    "phone": "9000090000",
    "type": "route",
    "reference_id": "north-1",
    "legal_business_name": "North Clinic",
    "business_type": "partnership",
    "contact_name": "Asha Rao",
    "profile": {
        "category": "healthcare",
        "subcategory": "clinic",
        "addresses": {
            "registered": {
                "street1": "507, 1st block",
                "street2": "MG Road",
                "city": "Bengaluru",
                "state": "KARNATAKA",
                "postal_code": 560034,
                "country": "IN",
            }
        },
    },
    "legal_info": {"pan": "AAACL1234C", "gst": "18AABCU9603R1ZM"},
}
STAKEHOLDER: dict[str, Any] = {
    "percentage_ownership": 10.5,
    "name": "Asha Rao",
    "email": "asha@example.com",
    "relationship": {"director": True, "executive": False},
    "phone": {"primary": "9000090000", "secondary": 9000090001},
    "addresses": {
        "residential": {
            "street": "506, 1st block",
            "city": "Bengaluru",
            "state": "Karnataka",
            "postal_code": "560034",
            "country": "IN",
        }
    },
    "kyc": {"pan": "AVOPB1111K"},
    "notes": {"a": "b"},
}
BANK = {"account_number": "1234567890", "ifsc_code": "HDFC0000317", "beneficiary_name": "Asha Rao"}
