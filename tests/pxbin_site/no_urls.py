"""No paths at all, for handlers whose other paths do not matter."""

urlpatterns: list[object] = []
