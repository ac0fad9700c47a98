import SwiftUI

@main
struct KerasPoseApp: App {
    @State private var model = AppModel()
    @Environment(\.scenePhase) private var phase

    var body: some Scene {
        WindowGroup {
            ContentView(model: model)
                .task { await model.begin() }
        }
        .onChange(of: phase) { _, phase in
            // A camera that nobody looks at should not run; iOS would take it away in any case.
            switch phase {
            case .active: model.resume()
            case .background: model.pause()
            default: break
            }
        }
    }
}
