/** A picture with its skeletons: both of the same frame, mirrored alike; SPEC.md, section 13. */
package keraspose.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Matrix
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import keraspose.NO_TRACK
import keraspose.Person
import keraspose.Size
import keraspose.phone.Figure
import keraspose.phone.OUTLINE_COLOR
import keraspose.phone.Shown
import keraspose.phone.keypointColors
import keraspose.phone.limbColors
import keraspose.phone.trackColor

class PoseView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    /** Called once for each shot, when it has been drawn. */
    var onDrawn: () -> Unit = {}
    var showsBoxes = false
        set(value) {
            field = value
            invalidate()
        }
    private var shot: Shot? = null
    private var isNew = false
    private val placing = Matrix()
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeCap = Paint.Cap.ROUND
    }
    private val fill = Paint(Paint.ANTI_ALIAS_FLAG)
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { textAlign = Paint.Align.CENTER }

    fun show(next: Shot?) {
        shot = next
        isNew = next != null
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val current = shot ?: return
        val bitmap = current.bitmap
        val shown = Shown(Size(bitmap.height, bitmap.width), Size(height, width), current.isMirrored)
        placing.setValues(shown.matrix() + floatArrayOf(0f, 0f, 1f))
        canvas.drawBitmap(bitmap, placing, smooth)
        // Small people over large ones, which would hide them.
        val figures = current.people.map { Pair(it, Figure(it, shown)) }.sortedByDescending { it.second.size }
        for ((person, figure) in figures) drawPerson(canvas, person, figure, shown, current)
        for ((person, figure) in figures) drawNumber(canvas, person, figure)
        if (isNew) {
            isNew = false
            post { onDrawn() }
        }
    }

    private fun drawPerson(canvas: Canvas, person: Person, figure: Figure, shown: Shown, current: Shot) {
        if (showsBoxes) drawBox(canvas, person, figure, shown)
        val limbs = current.skeleton.limbPairs.zip(limbColors(current.skeleton))
            .filter { (pair, _) -> figure.isShown[pair.first] && figure.isShown[pair.second] }
        // All outlines first, so that none of them cuts through another limb.
        for ((pair, _) in limbs) drawLimb(canvas, figure, pair, OUTLINE_COLOR, figure.lineWidth + 2 * figure.outline, 0.55f)
        for ((pair, color) in limbs) drawLimb(canvas, figure, pair, color, figure.lineWidth, 1f)
        keypointColors(current.skeleton).forEachIndexed { k, color ->
            if (figure.isShown[k]) {
                drawDot(canvas, figure, k, OUTLINE_COLOR, figure.dotRadius + figure.outline, 0.75f)
                drawDot(canvas, figure, k, color, figure.dotRadius, 1f)
            }
        }
    }

    private fun drawLimb(canvas: Canvas, figure: Figure, pair: Pair<Int, Int>, color: Int, width: Float, opacity: Float) {
        val (a, b) = pair
        line.color = argb(color, opacity * Math.min(figure.opacity[a], figure.opacity[b]))
        line.strokeWidth = width
        canvas.drawLine(figure.xy[2 * a], figure.xy[2 * a + 1], figure.xy[2 * b], figure.xy[2 * b + 1], line)
    }

    private fun drawDot(canvas: Canvas, figure: Figure, k: Int, color: Int, radius: Float, opacity: Float) {
        fill.color = argb(color, opacity * figure.opacity[k])
        canvas.drawCircle(figure.xy[2 * k], figure.xy[2 * k + 1], radius, fill)
    }

    private fun drawBox(canvas: Canvas, person: Person, figure: Figure, shown: Shown) {
        val (x1, y1, x2, y2) = person.box
        val (left, right) = listOf(shown.x(x1.toFloat()), shown.x(x2.toFloat())).sorted()
        line.color = argb(trackColor(person.trackId), 0.75f)
        line.strokeWidth = Math.max(2f, 0.4f * figure.lineWidth)
        canvas.drawRect(left, shown.y(y1.toFloat()), right, shown.y(y2.toFloat()), line)
    }

    /** Numbers are not mirrored with the picture: they must be read. */
    private fun drawNumber(canvas: Canvas, person: Person, figure: Figure) {
        val (x, y) = figure.labelAt() ?: return
        if (person.trackId == NO_TRACK) return
        text.textSize = Math.min(44f, Math.max(14f, figure.size / 9)) * resources.displayMetrics.density / 2
        val number = person.trackId.toString()
        val half = text.measureText(number) / 2 + 0.3f * text.textSize
        val bottom = Math.max(1.3f * text.textSize, y - 0.9f * text.textSize)
        fill.color = argb(trackColor(person.trackId), 1f)
        canvas.drawRect(x - half, bottom - 1.3f * text.textSize, x + half, bottom, fill)
        text.color = argb(OUTLINE_COLOR, 1f)
        canvas.drawText(number, x, bottom - 0.3f * text.textSize, text)
    }

    private fun argb(color: Int, opacity: Float) = (Math.round(255 * opacity) shl 24) or color
}
