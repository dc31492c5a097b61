"""What `import i2i` offers, and where it comes from: the only list of it, a line for each name.

`__init__.py` reads this file, and so do type checkers.
"""

from i2i.config import Options as Options
from i2i.config.recipes import list_models as list_models
from i2i.config.recipes import load_options as load_options
from i2i.core.batch import Labelled as Labelled
from i2i.core.batch import Pair as Pair
from i2i.core.batch import Referenced as Referenced
from i2i.core.batch import Unpaired as Unpaired
from i2i.core.batch import to_bytes as to_bytes
from i2i.core.batch import to_signed as to_signed
from i2i.core.model import Clock as Clock
from i2i.core.model import Generated as Generated
from i2i.core.model import Model as Model
from i2i.core.model import Parts as Parts
from i2i.core.model import Play as Play
from i2i.core.plugins import load_plugin as load_plugin
from i2i.core.progress import Reporter as Reporter
from i2i.core.progress import reporting as reporting
from i2i.core.registry import register_loss as register_loss
from i2i.core.registry import register_model as register_model
from i2i.core.registry import register_network as register_network
from i2i.data.demo.sets import write_demo as write_demo
from i2i.errors import I2iError as I2iError
from i2i.evaluation.evaluate import evaluate_folders as evaluate_folders
from i2i.evaluation.evaluate import evaluate_run as evaluate_run
from i2i.evaluation.figures import Evaluation as Evaluation
from i2i.export.bundle import export_bundle as export_bundle
from i2i.export.onnx import export_int8 as export_int8
from i2i.export.onnx import export_onnx as export_onnx
from i2i.export.published import export_published as export_published
from i2i.export.sources.hub import pull as pull
from i2i.export.sources.hub import push as push
from i2i.inference.folder import translate_folder as translate_folder
from i2i.inference.load import build_sampler as build_sampler
from i2i.inference.load import build_translator as build_translator
from i2i.inference.load import load_model as load_model
from i2i.inference.load import load_sampler as load_sampler
from i2i.inference.load import load_translator as load_translator
from i2i.inference.sampler import Sampler as Sampler
from i2i.inference.translator import Translator as Translator
from i2i.models.build import build_model as build_model
from i2i.runs.history import history as history
from i2i.training.build import build_trainer as build_trainer
from i2i.training.callbacks import Callback as Callback
from i2i.training.callbacks import Training as Training
from i2i.training.figure import figure as figure
from i2i.training.outcome import Outcome as Outcome
from i2i.training.own import Term as Term
from i2i.training.own import own_parts as own_parts
from i2i.training.run_log import RunLog as RunLog
from i2i.training.session import resume as resume
from i2i.training.train import train as train
from i2i.training.trainer import Trainer as Trainer

__version__: str
