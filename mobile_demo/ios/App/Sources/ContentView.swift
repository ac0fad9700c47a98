import KerasPoseCore
import KerasPoseDemo
import PhotosUI
import SwiftUI

/// The one screen: the picture with its people, what it cost, and the buttons.
struct ContentView: View {
    @Bindable var model: AppModel
    @State private var photo: PhotosPickerItem?
    @State private var showsSettings = false

    var body: some View {
        ZStack {
            Color.black.ignoresSafeArea()
            CameraAnchor(camera: model.camera)
            if let shown = model.shown, let skeleton = model.skeleton {
                PoseCanvas(frame: shown, skeleton: skeleton, showsBoxes: model.showsBoxes)
            } else {
                Text(model.isOpening ? "Opening the models ..." : "Start the camera, or choose a picture.")
                    .foregroundStyle(.secondary)
            }
            VStack(spacing: 8) {
                status
                Spacer()
                messages
                buttons
            }
            .padding()
        }
        .preferredColorScheme(.dark)
        .sheet(isPresented: $showsSettings) { SettingsView(model: model) }
        .onChange(of: photo) { _, item in
            guard let item else { return }
            photo = nil  // the same picture may be chosen again
            Task { await load(item) }
        }
    }

    private var status: some View {
        HStack(alignment: .top) {
            VStack(alignment: .leading) {
                Text(rate).font(.headline.monospacedDigit())
                if let shown = model.shown {
                    Text("\(shown.people.count) \(shown.people.count == 1 ? "person" : "people")")
                }
                Text(model.runtime)
            }
            Spacer()
            Grid(alignment: .trailing, horizontalSpacing: 8, verticalSpacing: 0) {
                ForEach(model.costs) { cost in
                    GridRow {
                        Text(cost.stage)
                        Text("\(cost.milliseconds, specifier: "%.1f") ms").monospacedDigit()
                    }
                }
            }
        }
        .font(.caption)
        .padding(8)
        .background(.black.opacity(0.5), in: RoundedRectangle(cornerRadius: 8))
        .accessibilityElement(children: .combine)
    }

    private var rate: String {
        if let rate = model.framesPerSecond { return String(format: "%.1f fps", rate) }
        return model.isOpening ? "Opening ..." : " "
    }

    @ViewBuilder private var messages: some View {
        ForEach(model.notes, id: \.self) { Message(words: $0, color: .yellow) }
        if let problem = model.problem { Message(words: problem, color: .red) }
    }

    private var buttons: some View {
        HStack(spacing: 32) {
            PhotosPicker(selection: $photo, matching: .images) { Label("Picture", systemImage: "photo") }
            Button(action: model.toggleCamera) {
                Label(model.isCameraOn ? "Stop" : "Camera", systemImage: model.isCameraOn ? "stop.circle" : "camera")
            }
            Button(action: model.turnCamera) { Label("Other camera", systemImage: "arrow.triangle.2.circlepath.camera") }
                .disabled(!model.isCameraOn)
            Button { showsSettings = true } label: { Label("Settings", systemImage: "slider.horizontal.3") }
        }
        .labelStyle(.iconOnly)
        .font(.title)
        .padding(12)
        .background(.black.opacity(0.5), in: Capsule())
    }

    private func load(_ item: PhotosPickerItem) async {
        do {
            guard let data = try await item.loadTransferable(type: Data.self) else {
                model.say("This picture cannot be read.")
                return
            }
            await model.open(photo: data)
        } catch {
            model.say("This picture cannot be read: \(error.localizedDescription)")
        }
    }
}

private struct Message: View {
    let words: String
    let color: Color

    var body: some View {
        Text(words)
            .font(.callout)
            .foregroundStyle(color)
            .padding(8)
            .frame(maxWidth: .infinity, alignment: .leading)
            .background(.black.opacity(0.7), in: RoundedRectangle(cornerRadius: 8))
    }
}

/// Puts the camera's anchor on the screen, where it learns which way is up.
private struct CameraAnchor: UIViewRepresentable {
    let camera: Camera

    func makeUIView(context: Context) -> UIView {
        let view = UIView()
        view.isUserInteractionEnabled = false
        view.layer.addSublayer(camera.anchor)
        return view
    }

    func updateUIView(_ view: UIView, context: Context) {}
}
