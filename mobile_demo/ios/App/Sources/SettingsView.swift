import KerasPoseDemo
import SwiftUI

/// Models, where they run, what is drawn, and the check against Python.
struct SettingsView: View {
    @Bindable var model: AppModel
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        NavigationStack {
            Form {
                Section("Models") {
                    Picker("Pose", selection: $model.poseModel) {
                        ForEach(model.catalogue.poseModels) { Text($0.title).tag(Optional($0)) }
                    }
                    Picker("Detector", selection: $model.detector) {
                        Text("None: the picture is one person").tag(ModelRow?.none)
                        ForEach(model.catalogue.detectors) { Text($0.title).tag(Optional($0)) }
                    }
                    .disabled(!model.needsDetector)
                    Picker("Runs on", selection: $model.accelerator) {
                        ForEach(Accelerator.allCases) { Text($0.name).tag($0) }
                    }
                    Button("Look for models in the app's folder", action: model.refreshCatalogue)
                }
                Section("Video") {
                    Picker("Detector sees", selection: $model.settings.detectEvery) {
                        ForEach([1, 5, 10, 30], id: \.self) { Text($0 == 1 ? "every frame" : "every \($0)th frame").tag($0) }
                    }
                    .disabled(!model.needsDetector)
                    Toggle("Smooth the keypoints", isOn: $model.settings.isSmoothed)
                    Toggle("Show boxes", isOn: $model.showsBoxes)
                }
                Section("Same as Python?") {
                    Button("Replay the golden cases on this device") { Task { await model.replayParity() } }
                        .disabled(model.isReplaying || model.isOpening)
                    if model.isReplaying { ProgressView() }
                    ForEach(Array(model.parityLines.enumerated()), id: \.offset) { _, line in
                        Text(line).font(.caption.monospaced()).foregroundStyle(line.hasPrefix("FAILED") ? .red : .primary)
                    }
                }
            }
            .navigationTitle("Settings")
            .toolbar { Button("Done") { dismiss() } }
        }
    }
}
