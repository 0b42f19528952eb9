"""Choose the providers of e-mail and SMS by the settings. None means that none is configured."""

from kernapay.config.settings import Settings
from kernapay.notifications.base import EmailSender, SmsSender
from kernapay.notifications.fast2sms import Fast2Sms
from kernapay.notifications.mailbox import MailboxEmail, MailboxSms
from kernapay.notifications.sendgrid import SendGrid


def email(settings: Settings) -> EmailSender | None:
    if settings.email_api_key is not None and settings.sender_email is not None:
        return SendGrid(
            settings.email_api_key.get_secret_value(),
            settings.sender_email,
            settings.sender_name,
            settings.sendgrid_url,
        )
    return MailboxEmail(settings.mailbox_url) if settings.mailbox_url else None


def sms(settings: Settings) -> SmsSender | None:
    if settings.fast_2_sms_key is not None:
        return Fast2Sms(settings.fast_2_sms_key.get_secret_value(), settings.fast_2_sms_url)
    return MailboxSms(settings.mailbox_url) if settings.mailbox_url else None
