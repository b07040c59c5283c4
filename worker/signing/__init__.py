"""Signing keys and the tokens that they sign: JSON Web Keys and JSON Web Tokens (RFC 7517, RFC 7519)."""
