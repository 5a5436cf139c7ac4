"""Numbers of the login throttle. The settings import them, so this module imports nothing."""

CACHE = "login"
"""The cache that holds the counters."""
USER_FAILURES = 5
"""Wrong passwords for one user from one address, or from one known browser."""
ADDRESS_FAILURES = 30
"""Wrong passwords for all users from one address."""
COOL_OFF_SECONDS = 15 * 60
