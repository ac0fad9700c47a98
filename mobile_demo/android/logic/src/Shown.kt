/** Where and how a picture's people are drawn: places, widths and colours, as Python draws them. */
package keraspose.phone

import keraspose.VISIBILITY_KINDS
import keraspose.NO_TRACK
import keraspose.Person
import keraspose.Size
import keraspose.Skeleton

/** Keypoints at or below this score are not drawn. */
const val DRAWN_SCORE = 0.2f

/** Share of the opacity that a keypoint loses that is surely hidden. */
const val HIDDEN_FADING = 0.6f

/**
 * A picture in the middle of a view, as large as it fits.
 *
 * Pictures count pixels by their centres, views by their corners: half a pixel lies between them.
 *
 * @property isMirrored shown as a mirror, picture and skeleton alike.
 */
class Shown(val picture: Size, view: Size, val isMirrored: Boolean) {
    val scale = Math.min(view.width.toFloat() / picture.width, view.height.toFloat() / picture.height)
    val left = (view.width - scale * picture.width) / 2
    val top = (view.height - scale * picture.height) / 2

    fun x(x: Float): Float = left + scale * (if (isMirrored) picture.width - (x + 0.5f) else x + 0.5f)

    fun y(y: Float): Float = top + scale * (y + 0.5f)

    /** a, b, tx, c, d, ty: from the picture's pixel corners to the view, for drawing its pixels. */
    fun matrix(): FloatArray =
        if (isMirrored) floatArrayOf(-scale, 0f, left + scale * picture.width, 0f, scale, top)
        else floatArrayOf(scale, 0f, left, 0f, scale, top)
}

// The person's left, right and middle, as in keras_pose/pictures/drawing.py: told apart with any colour vision.
const val LEFT_COLOR = 0x34aaff
const val RIGHT_COLOR = 0xff8a14
const val CENTER_COLOR = 0xf4f4f4
const val OUTLINE_COLOR = 0x0e1018

/** Colours (red, green, blue in an Int) of the keypoints, by their names. */
fun keypointColors(skeleton: Skeleton): List<Int> = skeleton.names.map {
    if (it.startsWith("left_")) LEFT_COLOR else if (it.startsWith("right_")) RIGHT_COLOR else CENTER_COLOR
}

/** Colours of the limbs: that of their side, or of the middle. */
fun limbColors(skeleton: Skeleton): List<Int> {
    val colors = keypointColors(skeleton)
    return skeleton.limbPairs.map { (start, end) ->
        val (first, second) = Pair(colors[start], colors[end])
        when {
            first == second || second == CENTER_COLOR -> first
            first == CENTER_COLOR -> second
            else -> CENTER_COLOR
        }
    }
}

/** A colour for a track's number, unlike those of its neighbours: steps of the golden ratio around the circle of hues. */
fun trackColor(trackId: Int): Int {
    if (trackId == NO_TRACK) return CENTER_COLOR
    val hue = trackId * 0.618034 % 1.0
    val (light, saturation) = Pair(0.62, 0.75)
    val high = light + saturation - light * saturation
    val low = 2 * light - high
    fun channel(turn: Double): Int {
        val h = (turn % 1.0 + 1.0) % 1.0
        val value = when {
            h < 1.0 / 6 -> low + (high - low) * h * 6
            h < 0.5 -> high
            h < 2.0 / 3 -> low + (high - low) * (2.0 / 3 - h) * 6
            else -> low
        }
        return Math.rint(255 * value).toInt()
    }
    return (channel(hue + 1.0 / 3) shl 16) or (channel(hue) shl 8) or channel(hue - 1.0 / 3)
}

/** What is seen of a person, in view pixels: lines and dots grow with it, and fade as scores fall. */
class Figure(person: Person, shown: Shown) {
    /** x, y, x, y, ... in the view. */
    val xy = FloatArray(person.keypointsXy.size) { i ->
        val value = person.keypointsXy[i]
        if (i % 2 == 0) shown.x(value) else shown.y(value)
    }
    val isShown = BooleanArray(person.keypointScores.size) { k ->
        person.keypointScores[k] > DRAWN_SCORE && !person.isOutside(k) && xy[2 * k].isFinite() && xy[2 * k + 1].isFinite()
    }

    /** 0 to 1. */
    val opacity = FloatArray(person.keypointScores.size) { k ->
        val sure = 0.45f + 0.55f * Math.min(1f, Math.max(0f, (person.keypointScores[k] - DRAWN_SCORE) / 0.5f))
        sure * (1 - HIDDEN_FADING * (person.visibility?.get(VISIBILITY_KINDS.size * k + 1) ?: 0f))
    }

    /** The longer side of what is shown; 0 where nothing is. */
    val size = Math.max(extent(0), extent(1))
    val lineWidth = Math.min(14f * Math.max(1f, shown.scale), Math.max(3f, size / 70))
    val dotRadius = Math.max(1.05f * lineWidth, size / 75)
    val outline = Math.max(1f, 0.3f * lineWidth)

    /** Where the person's number stands: above the middle of what is shown; null where nothing is. */
    fun labelAt(): Pair<Float, Float>? {
        val places = isShown.indices.filter { isShown[it] }
        if (places.isEmpty()) return null
        val xs = places.map { xy[2 * it] }.sorted()
        return Pair((xs.first() + xs.last()) / 2, places.map { xy[2 * it + 1] }.sorted().first())
    }

    private fun extent(axis: Int): Float {
        val values = isShown.indices.filter { isShown[it] }.map { xy[2 * it + axis] }.sorted()
        return if (values.isEmpty()) 0f else values.last() - values.first()
    }
}
