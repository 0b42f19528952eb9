"""Linked accounts, their stakeholders and their product, as Razorpay shows them."""

from kernapay.sandbox.account_entities import LinkedAccount, ProductConfiguration, Stakeholder
from kernapay.sandbox.linked_account_fields import SETTLEMENT_FIELDS
from kernapay.sandbox.views import View


def linked_account_view(account: LinkedAccount) -> View:
    details = account.details
    return {
        "id": account.id,
        "type": "route",
        "status": "created",
        "email": account.email,
        "notes": account.notes or [],
        "created_at": account.created_at,
        "business_type": account.business_type,
        "customer_facing_business_name": details.get("legal_business_name"),
        **details,
    }


def stakeholder_view(stakeholder: Stakeholder) -> View:
    """Return the stakeholder. Razorpay: of its relationships, those that are true."""
    details = stakeholder.details
    relationship = details.get("relationship", {})
    return {
        "entity": "stakeholder",
        "id": stakeholder.id,
        "percentage_ownership": None,
        "notes": stakeholder.notes or [],
        **details,
        "relationship": {name: True for name, is_so in relationship.items() if is_so},
    }


def product_view(product: ProductConfiguration) -> View:
    path = f"/accounts/{product.account_id}/products/{product.id}"
    return {
        "requested_configuration": [],
        "active_configuration": {
            "settlements": {name: product.settlements.get(name) for name in SETTLEMENT_FIELDS}
        },
        "requirements": [
            {
                "field_reference": f"settlements.{name}",
                "resolution_url": path,
                "reason_code": "field_missing",
                "status": "required",
            }
            for name in SETTLEMENT_FIELDS
            if name not in product.settlements
        ],
        "tnc": _terms_view(product),
        "id": product.id,
        "product_name": "route",
        "activation_status": product.activation_status,
        "account_id": product.account_id,
        "requested_at": product.created_at,
    }


def product_event_view(product: ProductConfiguration) -> View:
    """Return what an event says of the product: much less than the API."""
    return {
        "id": product.id,
        "merchant_id": product.account_id,
        "activation_status": product.activation_status,
    }


def _terms_view(product: ProductConfiguration) -> View | list[View]:
    if product.terms_accepted_at is None:
        return []
    return {
        "id": product.terms_id,
        "accepted": True,
        "accepted_at": product.terms_accepted_at,
    }
