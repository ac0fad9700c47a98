/** The screen: what is shown, what can be chosen, and what is in the way. */
package keraspose.app

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Context
import android.content.Intent
import android.content.SharedPreferences
import android.content.pm.PackageManager
import android.hardware.camera2.CameraManager
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.CheckBox
import android.widget.Spinner
import android.widget.TextView
import keraspose.phone.DETECTOR_TASK
import keraspose.phone.ModelEntry
import keraspose.phone.POSE_TASKS
import keraspose.phone.RateMeter
import keraspose.phone.Settings
import keraspose.phone.StageMeter
import keraspose.phone.Wish

private const val ASK_CAMERA = 1
private const val ASK_PICTURE = 2
private val DETECT_EVERY = listOf(1, 3, 5, 10, 30)
private const val USUAL_DETECT_EVERY = 10

class MainActivity : Activity(), EngineListener {
    private lateinit var engine: Engine
    private lateinit var view: PoseView
    private lateinit var message: TextView
    private lateinit var choices: SharedPreferences
    private val rate = RateMeter()
    private val stages = StageMeter()
    private var camera: Camera? = null
    private var photo: Uri? = null
    private var wantsCamera = true
    private var isFront = false
    private var isOnScreen = false
    private var poses = listOf<ModelEntry>()
    private var detectors = listOf<ModelEntry?>()
    private val wishes = Wish.values().toList()
    private var boxThreshold: Float? = null
    /** What stands in the way, and what the user should know. */
    private var problem: String? = null
    private var notes = listOf<String>()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        view = findViewById(R.id.view) as PoseView
        message = findViewById(R.id.message) as TextView
        choices = getPreferences(Context.MODE_PRIVATE)
        isFront = choices.getBoolean("is_front", false)
        engine = Engine(applicationContext, AssetFolder(assets), this)
        view.onDrawn = { engine.drawn() }
        connectButtons()
        sayStatus(getString(R.string.loading))
        engine.findModels(pushedFolder(this))
    }

    override fun onResume() {
        super.onResume()
        isOnScreen = true
        if (wantsCamera) startCamera()
    }

    override fun onPause() {
        isOnScreen = false
        stopCamera()
        super.onPause()
    }

    override fun onDestroy() {
        engine.close()
        super.onDestroy()
    }

    // --- what the engine tells

    override fun onModels(bundle: keraspose.phone.Bundle) {
        if (isDestroyed) return
        boxThreshold = bundle.boxThreshold
        poses = bundle.entries.filter { it.task in POSE_TASKS }
        detectors = bundle.entries.filter { it.task == DETECTOR_TASK } + listOf<ModelEntry?>(null)
        if (poses.isEmpty()) onFailure(getString(R.string.no_pose_model)) else fillSpinners()
    }

    override fun onOpened(notes: List<String>) {
        if (isDestroyed) return
        this.notes = notes
        say(null)
        sayStatus("")
        photo?.let { lookAt(it) }
    }

    override fun onShot(shot: Shot) {
        if (isDestroyed || (shot.seconds != null) != wantsCamera) {
            engine.drawn()
            return
        }
        stages.add(shot.stages)
        val people = resources.getQuantityString(R.plurals.people, shot.people.size, shot.people.size)
        val now = SystemClock.elapsedRealtimeNanos() / 1e9
        sayStatus(
            if (shot.seconds != null) getString(R.string.rate, rate.add(now), people)
            else getString(R.string.took, shot.stages.values.sum(), people)
        )
        text(R.id.stages).text = stages.means().map { (stage, mean) -> "%-9s%6.1f ms".format(stage, mean) }.joinToString("\n")
        view.show(shot)
    }

    override fun onChecked(words: String) {
        if (isDestroyed) return
        sayStatus("")
        say(words)
    }

    override fun onFailure(message: String) {
        if (isDestroyed) return
        sayStatus("")
        view.show(null)
        say(message)
    }

    // --- the camera and pictures

    private fun startCamera() {
        wantsCamera = true
        photo = null
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), ASK_CAMERA)
            return
        }
        if (!isOnScreen) return // it starts when the app comes back
        stopCamera()
        restartMeters()
        val opened = Camera(
            getSystemService(Context.CAMERA_SERVICE) as CameraManager, isFront, { displayDegrees() },
            { engine.offer(it) }, { problem -> runOnUiThread { say(getString(problem.text, problem.detail)) } }
        )
        camera = opened
        opened.open()
    }

    private fun stopCamera() {
        camera?.close()
        camera = null
        engine.forgetFrames()
    }

    @Suppress("DEPRECATION") // its successor needs Android 11
    private fun displayDegrees() = 90 * windowManager.defaultDisplay.rotation

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        super.onRequestPermissionsResult(requestCode, permissions, grantResults)
        // An empty answer: the question was taken away, as by turning the device.
        if (requestCode != ASK_CAMERA || grantResults.isEmpty()) return
        if (grantResults[0] == PackageManager.PERMISSION_GRANTED) {
            say(null)
            startCamera()
        } else {
            wantsCamera = false
            say(getString(R.string.no_permission))
        }
    }

    private fun choosePicture() {
        val question = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        try {
            startActivityForResult(question, ASK_PICTURE)
        } catch (error: ActivityNotFoundException) {
            say(getString(R.string.no_chooser))
        }
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        val chosen = data?.data
        if (requestCode != ASK_PICTURE || resultCode != RESULT_OK || chosen == null) return
        wantsCamera = false
        stopCamera()
        restartMeters()
        photo = chosen
        lookAt(chosen)
    }

    private fun lookAt(uri: Uri) {
        say(null)
        engine.look(contentResolver, uri) { reason -> getString(R.string.no_picture, reason) }
    }

    // --- what can be chosen

    private fun connectButtons() {
        onClick(R.id.camera_button) { startCamera() }
        onClick(R.id.turn_button) {
            isFront = !isFront
            choices.edit().putBoolean("is_front", isFront).apply()
            startCamera()
        }
        onClick(R.id.picture_button) { choosePicture() }
        onClick(R.id.check_button) {
            sayStatus(getString(R.string.checking))
            engine.check()
        }
        onClick(R.id.settings_button) {
            val panel: View = findViewById(R.id.settings_panel)
            panel.visibility = if (panel.visibility == View.GONE) View.VISIBLE else View.GONE
        }
    }

    private fun fillSpinners() {
        fill(R.id.pose_model, "pose", poses.map { it.title }, 0)
        fill(R.id.detector, "detector", detectors.map { it?.title ?: getString(R.string.no_detector) }, 0)
        fill(R.id.accelerator, "accelerator", wishes.map { it.title }, 0)
        fill(R.id.detect_every, "detect_every", DETECT_EVERY.map { it.toString() }, DETECT_EVERY.indexOf(USUAL_DETECT_EVERY))
        connect(R.id.smoothing, "smoothing", true) { openModels() }
        connect(R.id.boxes, "boxes", false) { view.showsBoxes = it }
        view.showsBoxes = (findViewById(R.id.boxes) as CheckBox).isChecked
        openModels()
    }

    /** Shows titles; the chosen one is remembered by its name, since the next build may have others. */
    private fun fill(id: Int, key: String, titles: List<String>, usual: Int) {
        val spinner = findViewById(id) as Spinner
        spinner.adapter = ArrayAdapter<String>(this, android.R.layout.simple_spinner_dropdown_item, titles)
        val remembered = choices.getString(key, null)?.let { titles.indexOf(it) } ?: -1
        spinner.setSelection(if (remembered >= 0) remembered else usual, false)
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            private var shown = spinner.selectedItemPosition

            override fun onNothingSelected(parent: AdapterView<*>?) {}

            override fun onItemSelected(parent: AdapterView<*>?, item: View?, position: Int, row: Long) {
                if (position == shown) return // that was the first layout
                shown = position
                choices.edit().putString(key, titles[position]).apply()
                openModels()
            }
        }
    }

    private fun connect(id: Int, key: String, usual: Boolean, changed: (Boolean) -> Unit) {
        val box = findViewById(id) as CheckBox
        box.isChecked = choices.getBoolean(key, usual)
        box.setOnCheckedChangeListener { _, isChecked ->
            choices.edit().putBoolean(key, isChecked).apply()
            changed(isChecked)
        }
    }

    private fun openModels() {
        fun position(id: Int) = (findViewById(id) as Spinner).selectedItemPosition
        val pose = poses[position(R.id.pose_model)]
        // Who sees the whole picture in every frame needs neither.
        for (id in listOf(R.id.detector, R.id.detect_every)) (findViewById(id) as Spinner).isEnabled = !pose.findsEverybody
        val detector = if (pose.findsEverybody) null else detectors[position(R.id.detector)]
        val settings = Settings(DETECT_EVERY[position(R.id.detect_every)], (findViewById(R.id.smoothing) as CheckBox).isChecked, boxThreshold)
        say(null)
        sayStatus(getString(R.string.loading))
        restartMeters()
        engine.open(Choice(pose, detector, wishes[position(R.id.accelerator)], settings))
    }

    // --- words

    private fun restartMeters() {
        rate.restart()
        stages.restart()
    }

    private fun onClick(id: Int, action: () -> Unit) = (findViewById(id) as Button).setOnClickListener { action() }

    private fun text(id: Int) = findViewById(id) as TextView

    private fun sayStatus(words: String) {
        text(R.id.rate).text = words
    }

    /** Says what is in the way, or with null only what the models run on. */
    private fun say(words: String?) {
        problem = words
        val all = listOfNotNull(problem) + notes
        message.text = all.joinToString("\n")
        message.visibility = if (all.isEmpty()) View.GONE else View.VISIBLE
    }
}
