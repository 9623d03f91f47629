"""Write the API's schema to openapi.json, or with --check fail if it is not what the server says today."""

import json
import sys
from pathlib import Path

from hatcat.server.app import create_app
from hatcat.settings import Settings

target = Path(__file__).with_name("openapi.json")
schema = json.dumps(create_app(Settings.model_construct()).openapi(), indent=1, sort_keys=True) + "\n"
if "--check" not in sys.argv:
    target.write_text(schema)
elif target.read_text() != schema:
    sys.exit("ui/openapi.json is not the server's schema: run `make types`")
