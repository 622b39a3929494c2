"""Refusals in CRM.COM's documented form: ``status``, ``message``, ``error``, ``parameters``."""

from crm_pipeline.sandbox.wire import Answer, json_answer

INVALID_VALUE = "CRM.EXCEPTIONS.INVALIDVALUEEXCEPTION"
INVALID_REQUEST = "CRM.EXCEPTIONS.INVALIDREQUESTEXCEPTION"
INVALID_STATE = "CRM.EXCEPTIONS.INVALIDSTATEEXCEPTION"
INVALID_LOGIN = "CRM.EXCEPTIONS.INVALIDLOGINEXCEPTION"
NOT_ENOUGH = "CRM.EXCEPTIONS.CANNOTSPENDAMOUNTWALLETBALANCENOTENOUGHEXCEPTION"
REFERENCE_TAKEN = "CRM.EXCEPTIONS.REFERENCENUMBERALREADYEXISTSEXCEPTION"
NOT_FOUND = "CRM.EXCEPTIONS.NOTFOUNDEXCEPTION"
CIM_TAKEN = "COM.CRM.EXCEPTIONS.CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION"
CODE_TAKEN = "COM.CRM.EXCEPTIONS.CODEALREADYEXISTSEXCEPTION"
UNAUTHORISED = "CRM.EXCEPTIONS.UNAUTHORIZEDEXCEPTION"
FORBIDDEN = "CRM.EXCEPTIONS.FORBIDDENEXCEPTION"
INTERNAL = "CRM.EXCEPTIONS.INTERNALSERVEREXCEPTION"


class RefusedError(Exception):
    """The call is refused; nothing was written."""

    def __init__(self, status: int, message: str, error: str, parameters: list[str]) -> None:
        """Carry the four members of the error body."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.error = error
        self.parameters = parameters

    def answer(self) -> Answer:
        """Write the error body."""
        return json_answer(
            {
                "status": self.status,
                "message": self.message,
                "error": self.error,
                "parameters": self.parameters,
            },
            self.status,
        )


def invalid(field: str, message: str = "Invalid value.") -> RefusedError:
    """Refuse a value; the field's name is the parameter."""
    return RefusedError(400, message, INVALID_VALUE, [field])


def not_found(status: int, entity: str, reference: str) -> RefusedError:
    """Refuse a reference to something that does not exist; ``status`` is 400 or 404."""
    return RefusedError(status, "Record not found.", NOT_FOUND, [entity, reference])
