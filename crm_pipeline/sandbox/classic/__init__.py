"""The fake CRM.COM, first generation ("classic" Web API), under ``/crmapi/rest/v2``.

Method calls with a token in the body and one envelope for success and failure. It answers on the
port of the second generation and knows that one's contacts; everything else is its own.
"""
