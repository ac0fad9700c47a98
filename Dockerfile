# Training on GPUs; docs/docker.md says how. Needs the NVIDIA container toolkit on the host.
FROM python:3.12-slim

# TensorFlow's own wheels of CUDA and cuDNN: the host brings the driver alone.
WORKDIR /keras_pose
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt \
 && pip install --no-cache-dir "$(grep '^tensorflow==' requirements.txt | sed 's/tensorflow/tensorflow[and-cuda]/')"

COPY pyproject.toml setup.py README.md LICENSE ./
COPY keras_pose ./keras_pose
COPY training ./training
COPY export ./export
RUN pip install --no-cache-dir --no-deps .

# Data sets and runs are mounted here.
WORKDIR /workspace
VOLUME ["/workspace/data", "/workspace/runs"]
ENTRYPOINT ["keras-pose"]
CMD ["--help"]
