from django.apps import apps

from accounts.models import Revised
from pxbin_site.config_files.sections import SECTIONS


def test_files_have_every_table_of_the_configuration():
    """Those are the tables that processes cache; a new one needs an entry in SECTIONS."""
    tables = {table for table in apps.get_models() if issubclass(table, Revised)}
    assert {section.table for section in SECTIONS.values()} == tables
