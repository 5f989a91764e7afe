# SPDX-License-Identifier: Apache-2.0
# What the power-cut test preloads into a target (tests/torture/powercut.sh). Not with sanitizers: they want to be first.
if(NOT AIS_SANITIZE)
    add_library(powercut MODULE ${CMAKE_SOURCE_DIR}/tests/torture/powercut_preload.c)
    set_target_properties(powercut PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_compile_options(powercut PRIVATE -U_FORTIFY_SOURCE -Wno-missing-prototypes -Wno-redundant-decls)
    target_link_libraries(powercut PRIVATE ${CMAKE_DL_LIBS})
endif()
