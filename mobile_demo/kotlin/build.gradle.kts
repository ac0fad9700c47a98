// The core as a library, for builds that have Gradle: `gradle publishToMavenLocal`, or
// `includeBuild` of this folder. build_library.py does without.
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    kotlin("jvm") version "2.2.21"
    `maven-publish`
}

group = "keraspose"
version = "0.1.0"

sourceSets {
    main { kotlin.setSrcDirs(listOf("src")) }
    test { kotlin.setSrcDirs(listOf<String>()) }
}

java {
    withSourcesJar()
    // Android takes it, too.
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_1_8)
    }
}

publishing {
    publications {
        create<MavenPublication>("core") {
            from(components["java"])
            pom {
                description.set("From pictures to skeletons: what a pose network's file leaves to the program that runs it")
                licenses {
                    license {
                        name.set("Apache-2.0")
                        url.set("https://www.apache.org/licenses/LICENSE-2.0.txt")
                    }
                }
            }
        }
    }
}
