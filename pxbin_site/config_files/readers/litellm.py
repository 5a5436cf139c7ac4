"""Reads LiteLLM's `config.yaml`: models with one or several deployments, and what of its settings has a counterpart."""

from __future__ import annotations

from typing import Any

from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import Document, Steps
from pxbin_site.config_files.formats import LITELLM
from pxbin_site.config_files.readers.common import leave_out_others, take_over_key
from pxbin_site.config_files.readers.fields import objects, of_type, optional, required
from pxbin_site.config_files.readers.litellm_deployments import Deployments
from pxbin_site.config_files.readers.litellm_values import Values

STRATEGIES = {
    "simple-shuffle": "weighted",
    "latency-based-routing": "latency",
    "cost-based-routing": "cost",
    "least-busy": "round_robin",
}
"""Our strategy of each of its routing strategies that has a counterpart."""
ROUTER, LITELLM_SETTINGS, GENERAL = ("router_settings",), ("litellm_settings",), ("general_settings",)
ROUTER_FIELDS = ("routing_strategy", "num_retries", "timeout", "cooldown_time", "fallbacks", "default_fallbacks", "model_group_alias")
LITELLM_FIELDS = ("num_retries", "request_timeout", "fallbacks", "default_fallbacks", "drop_params")
OPEN = "master_key is not set: the models are open to clients without a key, as at LiteLLM; --require-keys closes them"


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = Configuration(format=LITELLM, sections=["upstreams", "credentials", "models", "routes"])
    reader = _Reader(configuration, document, options)
    reader.read_models()
    reader.read_key()
    leave_out_others(configuration, document, (), ("model_list", "environment_variables", *ROUTER, *LITELLM_SETTINGS, *GENERAL))
    leave_out_others(configuration, document, ROUTER, ROUTER_FIELDS)
    leave_out_others(configuration, document, LITELLM_SETTINGS, LITELLM_FIELDS)
    leave_out_others(configuration, document, GENERAL, ("master_key",))
    return configuration


class _Reader:
    """Reads one file."""

    def __init__(self, configuration: Configuration, document: Document, options: Options) -> None:
        self.configuration, self.document, self.options = configuration, document, options
        self.values = Values(configuration, document, options.variables)
        self.deployments = Deployments(configuration, document, self.values, self._upstream_settings())
        self._models: dict[str, dict[str, Any]] = {}

    def _upstream_settings(self) -> dict[str, Any]:
        """What the settings say of every upstream."""
        document = self.document
        retries = optional(document, (*ROUTER, "num_retries"), int)
        timeout = optional(document, (*ROUTER, "timeout"), float) or optional(document, (*LITELLM_SETTINGS, "request_timeout"), float)
        return {
            "max_retries": optional(document, (*LITELLM_SETTINGS, "num_retries"), int) if retries is None else retries,
            "first_byte_timeout_seconds": timeout,
            "cooldown_seconds": optional(document, (*ROUTER, "cooldown_time"), float),
        }

    def read_models(self) -> None:
        for steps, _ in objects(self.document, ("model_list",)):
            name = required(self.document, (*steps, "model_name"), str)
            self._read_deployment(name, steps)
            leave_out_others(self.configuration, self.document, steps, ("model_name", "litellm_params", "model_info"))
        self._read_fallbacks()
        self._read_aliases()

    def _read_deployment(self, name: str, steps: Steps) -> None:
        deployment = self.deployments.read((*steps, "litellm_params"))
        if deployment is None:
            return
        model = self._models.get(name)
        info = (*steps, "model_info")
        if model is None:
            self.configuration.add(
                "models",
                self.document.place(steps),
                name=name,
                context_window=optional(self.document, (*info, "max_input_tokens"), int),
                max_output_tokens=optional(self.document, (*info, "max_output_tokens"), int),
                allow_anonymous=self._is_open(),
                **deployment.model_values,
            )
            model = self._models[name] = self.configuration.rows[-1].values
        else:
            model["strategy"] = self._strategy()
        self.configuration.add("routes", self.document.place(steps), model=name, **deployment.route_values)
        self.deployments.add_price(steps, deployment)
        leave_out_others(
            self.configuration,
            self.document,
            info,
            ("max_input_tokens", "max_output_tokens", "input_cost_per_token", "output_cost_per_token", "id", "mode"),
        )

    def _is_open(self) -> bool:
        return not self.options.require_keys and not optional(self.document, (*GENERAL, "master_key"), str)

    def _strategy(self) -> str:
        steps = (*ROUTER, "routing_strategy")
        strategy = optional(self.document, steps, str) or "simple-shuffle"
        if strategy not in STRATEGIES:
            note = f"{self.document.place(steps)} ({strategy}: deployments are chosen by weight)"
            if note not in self.configuration.not_taken:
                self.configuration.not_taken.append(note)
        return STRATEGIES.get(strategy, "weighted")

    def _read_fallbacks(self) -> None:
        for settings in (ROUTER, LITELLM_SETTINGS):
            for steps, item in objects(self.document, (*settings, "fallbacks")):
                for name, fallbacks in item.items():
                    names = [of_type(self.document, (*steps, name), entry, str) for entry in of_type(self.document, steps, fallbacks, list)]
                    for model in self._models.values() if name == "*" else filter(None, [self._models.get(str(name))]):
                        model["fallbacks"] = [entry for entry in names if entry != model["name"]]
                    if name != "*" and name not in self._models:
                        self.configuration.leave_out(self.document, (*steps, str(name)), "there is no such model")
            everywhere = optional(self.document, (*settings, "default_fallbacks"), list) or []
            for model in self._models.values():
                model.setdefault("fallbacks", [entry for entry in everywhere if entry != model["name"]])

    def _read_aliases(self) -> None:
        steps = (*ROUTER, "model_group_alias")
        for alias, target in (optional(self.document, steps, dict) or {}).items():
            name = target.get("model") if isinstance(target, dict) else target
            model = self._models.get(str(name))
            if model is None or alias in self._models:
                self.configuration.leave_out(self.document, (*steps, str(alias)), "its model is missing, or the name is a model's")
            else:
                model.setdefault("aliases", []).append(str(alias))

    def read_key(self) -> None:
        steps = (*GENERAL, "master_key")
        key = optional(self.document, steps, str)
        if key:
            secret = self.values.secret(key)
            if secret.text:
                take_over_key(self.configuration, self.document.place(steps), secret.text, f"{LITELLM} master key")
            else:
                self.configuration.warn(f"{self.document.place(steps)}: {key} is not set, so no client key is taken over")
        elif self._models and self._is_open():
            self.configuration.warn(OPEN)
