# SPDX-License-Identifier: Apache-2.0
# The deterministic simulator (lib/run/sim) and the program that runs clusters under it (tests/sim). Every function through which a node
# meets the world is replaced at link time; the layers themselves are linked as they are.
file(GLOB sim_srcs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/run/sim/*.c ${CMAKE_SOURCE_DIR}/tests/sim/*.c)
file(STRINGS ${CMAKE_SOURCE_DIR}/lib/run/sim/wrap.list sim_wrapped)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/run/sim/wrap.list)
list(TRANSFORM sim_wrapped PREPEND "-Wl,--wrap=")
if(AIS_SANITIZE)
    set(sim_all EXCLUDE_FROM_ALL)
endif()
add_executable(sim ${sim_all} ${sim_srcs})
set_target_properties(sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/sim)
target_compile_options(sim PRIVATE -Wno-missing-prototypes -Wno-redundant-decls)
target_link_libraries(sim PRIVATE ais_proxy ais_target ais_core ais_store ais_net ais_run ais_codec ais_base)
target_link_options(sim PRIVATE ${sim_wrapped})
