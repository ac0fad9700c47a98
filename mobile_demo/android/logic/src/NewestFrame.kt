/** Frames never wait in a queue: who has finished one takes the newest; SPEC.md, section 13. */
package keraspose.phone

/**
 * Room for one frame, between a camera and who looks at its frames on another thread.
 *
 * Who looks is woken when [offer] or [done] say so, then takes a frame, and says [done] when it was drawn.
 *
 * @param drop gets the frames that nobody will see, so that their memory goes back.
 */
class NewestFrame<T : Any>(private val drop: (T) -> Unit) {
    private var newest: T? = null
    private var isBusy = false

    /** Frames that were replaced before anybody took them. */
    var numDropped = 0
        private set

    /** Puts a frame in; one that still waits there is dropped. True: who looks must be woken. */
    @Synchronized
    fun offer(frame: T): Boolean {
        val old = newest
        newest = frame
        if (old != null) {
            numDropped++
            drop(old)
        }
        return !isBusy.also { isBusy = true }
    }

    /** Takes the frame; null where none waits any more. */
    @Synchronized
    fun take(): T? = newest.also { newest = null }

    /** The frame that was taken last is drawn. True: another one waits, who looks must be woken. */
    @Synchronized
    fun done(): Boolean {
        isBusy = newest != null
        return isBusy
    }

    /** Forgets all, for another camera. */
    @Synchronized
    fun clear() {
        take()?.let(drop)
        isBusy = false
    }
}
