"""Bundles on a hub, by huggingface_hub: pushed, pulled, and used as `hub:OWNER/NAME`.

No more than the files of a bundle is taken from there, and they hold no code (`i2i.runs.bundle`).
Which hub it is, HF_ENDPOINT says, and who asks, HF_TOKEN or `hf auth login`.
"""

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from i2i.core.registry import register_weight_source
from i2i.data.catalogue.cache import cache_folder
from i2i.errors import CheckpointError, OptionsError
from i2i.export.bundle import FILES, export_bundle
from i2i.runs.bundle import bundle_weights
from i2i.runs.opening import open_checkpoint

_log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]{1,100}))?")


@register_weight_source("hub")
def from_hub(name: str) -> Path:
    """The folder of a bundle on the hub: OWNER/NAME, or OWNER/NAME@REVISION; kept in the cache.

    Raises:
        OptionsError: huggingface_hub is missing, or the name is none.
        CheckpointError: there is no such bundle, the hub cannot be reached, or it refuses.
    """
    hub, (repo, revision) = _hub(), _parsed(name)
    with _in_words(repo):
        folder = hub.snapshot_download(
            repo,
            revision=revision,
            cache_dir=cache_folder() / "hub",
            allow_patterns=list(FILES),
            endpoint=_endpoint(),
            library_name="i2i",
        )
    if bundle_weights(Path(folder)) is None:
        raise CheckpointError(
            f"{repo} holds no config.json with model.safetensors of i2i: `i2i push` writes them."
        )
    return Path(folder)


def pull(name: str, folder: Path | str) -> Path:
    """Fetch a bundle into a folder, and look whether it is one that can be used.

    Nothing in it is run, and no more is fetched than its weights, configuration and card.

    Arguments:
        name: OWNER/NAME, or OWNER/NAME@REVISION.
        folder: where; must not be there, or be empty.

    Returns:
        the folder.

    Raises:
        OptionsError: huggingface_hub is missing, or the name is none.
        CheckpointError: there is no such bundle, the hub cannot be reached or refuses; the bundle
            is damaged; or there is something in the folder.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} is there already and is not empty: give another name.")
    found = from_hub(name)
    weights = bundle_weights(found)
    assert weights is not None
    open_checkpoint(weights)
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        if (found / file).is_file():
            shutil.copyfile(found / file, folder / file)
    return folder


def push(checkpoint: Path | str, name: str, *, private: bool = False, **how: Any) -> str:
    """Write a run as a bundle and upload it.

    Arguments:
        checkpoint: a run, or a file; or a bundle, which is uploaded as it is.
        name: OWNER/NAME.
        private: whether a repository that is made for it is.
        how: as for `export_bundle`.

    Returns:
        the address.

    Raises:
        OptionsError: huggingface_hub is missing, or the name is none.
        CheckpointError: the checkpoint cannot be read, the hub cannot be reached, or it refuses.
    """
    hub, (repo, revision) = _hub(), _parsed(name)
    if revision is not None:
        raise OptionsError(f"{name!r} must be OWNER/NAME: a revision is made by pushing.")
    api = hub.HfApi(endpoint=_endpoint(), library_name="i2i")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(checkpoint)
        if bundle_weights(folder) is None:
            folder = Path(temporary) / repo.partition("/")[2]
            export_bundle(checkpoint, folder, **how)
        with _in_words(repo):
            address = api.create_repo(repo, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                allow_patterns=list(FILES),
                commit_message="Weights, configuration and card, by i2i",
            )
    return str(address)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _parsed(name: str) -> tuple[str, str | None]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise OptionsError(f"{name!r} is no name on a hub: OWNER/NAME was expected.")
    return found["repo"], found["revision"]


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise OptionsError(
            "the hub needs huggingface_hub: pip install 'i2i-toolkit[hub]'"
        ) from None
    return huggingface_hub


@contextlib.contextmanager
def _in_words(repo: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into a sentence."""
    from huggingface_hub import errors

    where = _endpoint() or "the hub"
    try:
        yield
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no {repo} on {where}, or it is private: check the name, or say who you are "
            "by HF_TOKEN or `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no such revision on {where}.") from error
    except errors.LocalTokenNotFoundError as error:
        raise CheckpointError(
            f"{where} does not know who you are: set HF_TOKEN, or run `hf auth login`."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise CheckpointError(
                f"{where} refuses access to {repo} (HTTP {status}): the token in HF_TOKEN or of "
                "`hf auth login` is wrong, or may not do this."
            ) from error
        raise CheckpointError(f"{where} does not answer as it should (HTTP {status}).") from error
    except ValueError as error:
        raise CheckpointError(f"{repo}: {str(error).splitlines()[0]}") from error
    except Exception as error:
        # Which library it speaks HTTP by, and whose errors these are, changes with its versions.
        if not isinstance(error, OSError) and not type(error).__module__.startswith("http"):
            raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{where} cannot be reached, and {repo} is not in the cache: check the network, or "
            f"HF_ENDPOINT ({why})."
        ) from error
