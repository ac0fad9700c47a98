// What the app uses of tensorflow/lite/delegates/gpu/metal_delegate.h.
#pragma once
#include "c_api.h"

typedef enum {
  TFLGpuDelegateWaitTypePassive,
  TFLGpuDelegateWaitTypeActive,
  TFLGpuDelegateWaitTypeDoNotWait,
  TFLGpuDelegateWaitTypeAggressive
} TFLGpuDelegateWaitType;
typedef struct {
  bool allow_precision_loss;
  TFLGpuDelegateWaitType wait_type;
  bool enable_quantization;
} TFLGpuDelegateOptions;
TfLiteDelegate *TFLGpuDelegateCreate(const TFLGpuDelegateOptions *options);
void TFLGpuDelegateDelete(TfLiteDelegate *delegate);
