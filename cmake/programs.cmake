# SPDX-License-Identifier: Apache-2.0
# The programs. What a node says about itself (what=node_status, software_version) is compiled into node/core/version.c only, so that
# a new commit does not rebuild the tree.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 --format=%cd --date=format:%Y-%m-%dT%H:%M:%S%z
    OUTPUT_VARIABLE AIS_BUILD_TIME OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
set_source_files_properties(${CMAKE_SOURCE_DIR}/node/core/version.c PROPERTIES COMPILE_DEFINITIONS
    "AIS_GIT=\"${AIS_GIT}\";AIS_BUILD_TIME=\"${AIS_BUILD_TIME}\"")

# A role without sources yet leaves the program out, so that the layers below can be built and tested alone.
get_target_property(AIS_PROXY_TYPE ais_proxy TYPE)
get_target_property(AIS_TARGET_TYPE ais_target TYPE)
if(AIS_PROXY_TYPE STREQUAL "STATIC_LIBRARY" AND AIS_TARGET_TYPE STREQUAL "STATIC_LIBRARY")
    add_executable(aisnode ${CMAKE_SOURCE_DIR}/node/main.c)
    target_link_libraries(aisnode PRIVATE ais_proxy ais_target ais_xact ais_core ais_store ais_net ais_run ais_codec ais_base)
endif()

if(EXISTS ${CMAKE_SOURCE_DIR}/cli/CMakeLists.txt)
    add_subdirectory(${CMAKE_SOURCE_DIR}/cli)
endif()
