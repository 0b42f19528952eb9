"""Write a document as plain text, for a mail."""

from kernapay.payments.documents.sheet import Sheet


def write_plain_text(sheet: Sheet) -> str:
    rows = [
        (sheet.item, sheet.item_amount),
        *((line.label, line.amount) for line in sheet.lines),
    ]
    parts = [
        f"{sheet.title} {sheet.number}, {sheet.day}",
        "\n".join((sheet.seller, *sheet.address)),
        *([sheet.banner] if sheet.banner else []),
        "\n".join((f"{sheet.party_label} {sheet.party}", *sheet.party_lines)),
        f"{sheet.amount}\n{sheet.words}",
        "\n".join(f"{label}: {amount}" for label, amount in rows),
        "\n".join(f"{fact.name}: {fact.value}" for fact in sheet.facts),
        "\n".join(sheet.footer),
        *([f"Check this paper: {sheet.check_url}"] if sheet.check_url else []),
    ]
    return "\n\n".join(parts) + "\n"
