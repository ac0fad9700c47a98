# make demo, make test, make lint: each makes its own .venv and reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# A portrait that matplotlib brings, in the public domain; make demo PHOTO=me.jpg
PHOTO ?= $$($(BIN)/python -c "import matplotlib as m; print(m.get_data_path())")/sample_data/grace_hopper.jpg
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test test-all lint clean

help:
	@echo "make demo   train, quantize, measure and draw a pose model on synthetic people"
	@echo "make test   format check, lint, types, tests"
	@echo "make lint   format check, lint, types only"
	@echo "make clean  remove .venv and demo/"

# The stamp is written last, so that an interrupted installation is done again.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  f"keras_pose needs Python 3.11 to 3.13, and {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python training/make_synthetic.py --output $(DEMO)/data --images 3000 --val-images 300
	$(BIN)/python training/train.py --model pose_slim --input-hw 128 96 --epochs 24 \
	  --dataset synthetic --data-dir $(DEMO)/data --run-dir $(DEMO)/run
	$(BIN)/python export/to_tflite.py --int8 --weights $(DEMO)/run/best.keras
	$(BIN)/python training/evaluate.py --dataset synthetic --data-dir $(DEMO)/data \
	  --weights $(DEMO)/run/best.keras $(DEMO)/run/export/int8/pose_model.tflite
	$(BIN)/python training/evaluate.py --dataset synthetic --data-dir $(DEMO)/data --flip-test \
	  --weights $(DEMO)/run/best.keras $(DEMO)/run/export/int8/pose_model.tflite
	$(BIN)/python training/browse.py --dataset synthetic --data-dir $(DEMO)/data \
	  --weights $(DEMO)/run/export/int8/pose_model.tflite --output $(DEMO)/people.png
	@echo "Done: look at $(DEMO)/people.png (drawn people, the model just trained)"
	@if [ -f keras_pose/shipped/shipped.json ]; then \
	  $(BIN)/python -m keras_pose "$(PHOTO)" --output $(DEMO)/photo.png && \
	  echo "and at $(DEMO)/photo.png (a photograph, the models that come with the package)"; fi

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy keras_pose

# One process a core: most of a test is Python building graphs.
test: lint
	$(BIN)/python -m pytest -m "not very_slow" -n auto --dist loadfile

test-all: lint
	$(BIN)/python -m pytest -n auto

clean:
	rm -rf $(VENV) $(DEMO)
