import KerasPoseCore
import KerasPoseDemo
import SwiftUI

/// A frame and its people: both of the same moment, both mirrored or neither. Words never are.
struct PoseCanvas: View {
    let frame: ShownFrame
    let skeleton: Skeleton
    let showsBoxes: Bool

    var body: some View {
        Canvas { context, size in
            let view = PictureView(
                picture: frame.picture.size, viewWidth: size.width, viewHeight: size.height, isMirrored: frame.isMirrored
            )
            drawPicture(in: context, view)
            for person in frame.people {
                drawSkeleton(DrawnSkeleton(of: person, skeleton: skeleton, in: view), in: context, unit: view.unit)
                drawBox(of: person, in: context, view)
            }
        }
        .ignoresSafeArea()
        .accessibilityLabel("Picture with \(frame.people.count) people")
    }

    private func drawPicture(in context: GraphicsContext, _ view: PictureView) {
        guard let image = frame.picture.cgImage else { return }
        var turned = context
        if view.isMirrored {
            // Around the picture's middle, which stays where it is.
            turned.translateBy(x: 2 * view.left + view.width, y: 0)
            turned.scaleBy(x: -1, y: 1)
        }
        let place = CGRect(x: view.left, y: view.top, width: view.width, height: view.height)
        turned.draw(Image(decorative: image, scale: 1), in: place)
    }

    private func drawSkeleton(_ drawn: DrawnSkeleton, in context: GraphicsContext, unit: Double) {
        for limb in drawn.limbs {
            var line = Path()
            line.move(to: limb.start.cgPoint)
            line.addLine(to: limb.end.cgPoint)
            context.stroke(line, with: .color(.black.opacity(0.55)), style: StrokeStyle(lineWidth: 3.2 * unit, lineCap: .round))
            context.stroke(line, with: .color(limb.side.color), style: StrokeStyle(lineWidth: 1.8 * unit, lineCap: .round))
        }
        for joint in drawn.joints {
            let radius = 2.1 * unit
            let place = CGRect(x: joint.point.x - radius, y: joint.point.y - radius, width: 2 * radius, height: 2 * radius)
            context.fill(Path(ellipseIn: place), with: .color(joint.side.color))
            context.stroke(Path(ellipseIn: place), with: .color(.black.opacity(0.65)), lineWidth: 0.6 * unit)
        }
    }

    /// The box, where it is wished for, and the number of whoever is followed.
    private func drawBox(of person: Person, in context: GraphicsContext, _ view: PictureView) {
        let (topLeft, bottomRight) = view.corners(of: person.box)
        let color = trackColor(person.trackID)
        if showsBoxes {
            let place = CGRect(
                x: topLeft.x, y: topLeft.y, width: bottomRight.x - topLeft.x, height: bottomRight.y - topLeft.y
            )
            context.stroke(Path(place), with: .color(color), lineWidth: view.unit)
        }
        guard person.trackID != noTrack else { return }
        let size = 12 * view.unit
        let words = Text("\(person.trackID)").font(.system(size: size, weight: .semibold)).foregroundColor(color)
        let place = CGPoint(x: (topLeft.x + bottomRight.x) / 2, y: max(view.top + size, topLeft.y - size / 2))
        context.draw(words, at: place)
    }
}

private let trackColors: [Color] = [.green, .yellow, .purple, .pink, .cyan, .orange]

private func trackColor(_ trackID: Int) -> Color {
    trackID == noTrack ? .white : trackColors[trackID % trackColors.count]
}

extension BodySide {
    fileprivate var color: Color {
        switch self {
        case .left: return .orange
        case .right: return .blue
        case .middle: return .white
        }
    }
}

extension ViewPoint {
    fileprivate var cgPoint: CGPoint { CGPoint(x: x, y: y) }
}
