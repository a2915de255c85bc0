# SPDX-License-Identifier: MIT
"""Tells kombu what shoal:// means, in every process, without an import in the application.

kombu has no entry points for transports, but it loads those of the group "kombu.serializers" when it is imported,
and Celery imports that part of kombu before it opens a connection. The distribution registers `serializer` there: kombu
then imports this module, and the import adds the scheme to kombu's table. The serializer itself has no encoder and no
decoder: it changes nothing.

This module stands outside the package so that programs that use kombu with another broker do not import Shoal.
"""

from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES.setdefault("shoal", "shoal.celery.transport:Transport")

serializer = (None, None, "application/x-shoal", "utf-8")  # arguments of kombu.serialization.register
