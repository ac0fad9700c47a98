import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "keraspose.app"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "keraspose.app"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = libs.versions.versionCode.get().toInt()
        versionName = libs.versions.versionName.get()
    }

    // Where LiteRT comes from; each has one source file, src/FLAVOUR/kotlin/LiteRtRuntime.kt.
    flavorDimensions += "runtime"
    productFlavors {
        create("bundled") {
            dimension = "runtime"
            isDefault = true
        }
        create("play") {
            dimension = "runtime"
        }
    }

    sourceSets {
        // The core and all that is not Android are compiled as they are: no copies.
        getByName("main").kotlin.srcDirs("src/main/kotlin", "../../kotlin/src", "../../kotlin/parity", "../logic/src")
    }

    buildTypes {
        getByName("release") {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "../proguard.pro")
            // To try it on a phone; a shop wants a key of your own.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources {
        // Compressed, a model could not be mapped into memory.
        noCompress += "tflite"
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_17)
    }
}

dependencies {
    "bundledImplementation"(libs.litert)
    "bundledImplementation"(libs.litert.gpu)
    // Brings the classes of LiteRT along, not the runtime.
    "playImplementation"(libs.play.services.litert)
}
