"""Write a statement as plain text, for a mail."""

from kernapay.payments.statements.sheet import StatementSheet


def write_plain_text(sheet: StatementSheet) -> str:
    parts = [
        f"Statement for {sheet.month}",
        f"{sheet.seller}\nfor {sheet.provider}\n{sheet.period}",
        *("\n".join(f"{row.label}: {row.amount}" for row in rows) for rows in sheet.figures),
        "\n".join(sheet.footer),
    ]
    return "\n\n".join(parts) + "\n"
